"""NVML behind types: the library at a given path, opened, asked, closed. One per process at a time, because pynvml is.

Every question about one GPU is asked for itself: an answer, or Unknown with NVML's words. A lost GPU does not touch
the others.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pynvml

from gpuready.model.errors import UserError
from gpuready.model.unknown import Unknown
from gpuready.node import nvml_links, nvml_samples, sysfs
from gpuready.node.gpus import Gpu, GpuEvent, Links, Refused, Sample, Snapshot, Vitals, busid_for_sysfs

T = TypeVar("T")
MIB = 1024 * 1024
LIBRARY = "libnvidia-ml.so.1"
WANTED_EVENTS = (
    pynvml.nvmlEventTypeXidCriticalError
    | pynvml.nvmlEventTypeDoubleBitEccError
    | pynvml.nvmlEventTypeGpuUnavailableError
    | pynvml.nvmlEventTypeGpuRecoveryAction
)
NEXT_STEPS = {
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "load it on the node (modprobe nvidia) and look at dmesg for lines with NVRM",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "kernel module and libraries are of two versions: reboot the node",
    pynvml.NVML_ERROR_NO_PERMISSION: "the agent must run privileged and see /dev/nvidiactl",
}


class NvmlError(UserError):
    """NVML could not be opened, or failed as a whole."""


def ask(call: Callable[[], T]) -> T | Unknown:
    try:
        return call()
    except (pynvml.NVMLError, UnicodeError, ValueError) as error:
        return Unknown(str(error))


def field(handle: Any, number: int) -> int:
    """One value of nvmlDeviceGetFieldValues; raises NVMLError when this GPU has no such field."""
    value = pynvml.nvmlDeviceGetFieldValues(handle, [number])[0]
    if value.nvmlReturn != pynvml.NVML_SUCCESS:
        raise pynvml.NVMLError(value.nvmlReturn)
    wide = value.valueType in (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG, pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG)
    return int(value.value.ullVal if wide else value.value.uiVal)


class Nvml:
    """An opened NVML. Calls block, seconds when the driver is in trouble: none of them belongs on an event loop."""

    def __init__(self, path: Path, sys: Path, replayed: bool) -> None:
        self.path = path
        self.replayed = replayed
        self._sys = sys
        self._pci = sysfs.bound_gpus(sys)
        self._file = file_identity(path)
        self._handles: dict[str, Any] = {}
        self._events: Any = None
        self._waiting = threading.Lock()

    def is_of(self, path: Path) -> bool:
        """This is what `path`, with its symlinks resolved, would load now."""
        return path == self.path and file_identity(path) == self._file

    def gpus_appeared(self) -> bool:
        """The kernel driver holds other PCI devices than when NVML counted them."""
        return sysfs.bound_gpus(self._sys) != self._pci

    def snapshot(self) -> Snapshot:
        """All GPUs as they are described now. Raises NvmlError when NVML as a whole does not answer."""
        try:
            count = pynvml.nvmlDeviceGetCount()
        except pynvml.NVMLError as error:
            raise NvmlError(f"{self.path} does not count the GPUs: {error}", NEXT_STEPS.get(error.value, "")) from error
        found: list[Gpu] = []
        refused: list[Refused] = []
        handles: dict[str, Any] = {}
        for index in range(count):
            try:
                handle = pynvml.nvmlDeviceGetHandleByIndex(index)
                uuid = pynvml.nvmlDeviceGetUUID(handle)
            except (pynvml.NVMLError, UnicodeError) as error:
                refused.append(Refused(index=index, why=str(error)))
                continue
            handles[uuid] = handle
            found.append(self._describe(index, uuid, handle))
        self._handles |= handles  # a GPU that is lost now was known before: its handle goes on answering "lost"
        driver = ask(pynvml.nvmlSystemGetDriverVersion)
        return Snapshot(driver=driver, cuda=cuda_version(self.path.parent), gpus=tuple(found), refused=tuple(refused))

    def _describe(self, index: int, uuid: str, handle: Any) -> Gpu:
        pci = ask(lambda: text(pynvml.nvmlDeviceGetPciInfo(handle).busId))
        address = "" if isinstance(pci, Unknown) else busid_for_sysfs(pci)
        return Gpu(
            index=index,
            uuid=uuid,
            minor=ask(lambda: int(pynvml.nvmlDeviceGetMinorNumber(handle))),
            name=ask(lambda: str(pynvml.nvmlDeviceGetName(handle))),
            memory_mib=ask(lambda: int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) // MIB),
            pci=pci,
            compute=ask(lambda: compute_capability(handle)),
            mig=ask(lambda: mig_mode(handle)),
            vgpu=ask(lambda: is_vgpu(handle)),
            clique=ask(lambda: fabric_clique(handle)),
            numa=sysfs.numa_node(self._sys, address),
            pci_class=sysfs.pci_class(self._sys, address),
        )

    def vitals(self) -> dict[str, Vitals]:
        """One look at the health of every GPU ever described."""
        return {uuid: look(handle) for uuid, handle in self._handles.items()}

    def samples(self) -> tuple[Sample, ...]:
        return tuple(Sample(uuid=uuid, values=nvml_samples.read(handle)) for uuid, handle in self._handles.items())

    def links(self) -> Links:
        return nvml_links.read(self._handles)

    def listen(self) -> dict[str, str]:
        """Start to listen for events. Returns, by UUID, why a GPU that should report events does not."""
        with self._waiting:
            self._free_events()
            try:
                self._events = pynvml.nvmlEventSetCreate()
            except pynvml.NVMLError as error:
                raise NvmlError(f"NVML gives no event set: {error}") from error
            return {uuid: why for uuid, handle in self._handles.items() if (why := self._register(handle))}

    def _register(self, handle: Any) -> str:
        try:
            supported = pynvml.nvmlDeviceGetSupportedEventTypes(handle)
            pynvml.nvmlDeviceRegisterEvents(handle, supported & WANTED_EVENTS, self._events)
        except pynvml.NVMLError as error:
            # A GPU too old for events stays healthy, as with NVIDIA's device plugin.
            too_old = error.value == pynvml.NVML_ERROR_NOT_SUPPORTED
            return "" if too_old else f"its events cannot be listened to: {error}"
        return ""

    def wait(self, milliseconds: int) -> GpuEvent | None:
        """The next event, or None after the time. Raises NvmlError on anything else."""
        with self._waiting:
            if self._events is None:
                raise NvmlError("nobody listens for NVML events")
            try:
                data = pynvml.nvmlEventSetWait_v2(self._events, milliseconds)
            except pynvml.NVMLError as error:
                if error.value == pynvml.NVML_ERROR_TIMEOUT:
                    return None
                raise NvmlError(f"NVML events cannot be waited for: {error}") from error
        uuid = ask(lambda: str(pynvml.nvmlDeviceGetUUID(data.device)))
        is_xid = data.eventType == pynvml.nvmlEventTypeXidCriticalError
        return GpuEvent(uuid="" if isinstance(uuid, Unknown) else uuid, xid=int(data.eventData) if is_xid else 0)

    def close(self) -> None:
        with self._waiting:
            self._free_events()
            ask(pynvml.nvmlShutdown)
            self._handles.clear()

    def _free_events(self) -> None:
        if self._events is not None:
            ask(lambda: pynvml.nvmlEventSetFree(self._events))
            self._events = None


def open_nvml(path: Path, sys: Path = Path("/sys")) -> Nvml:
    """Load the library at this absolute path, whatever the loader's own path says, and initialise it.

    Give the path with its symlinks resolved: the loader knows a library that it has by the name it was asked for, and
    would give the old driver's for the same name.
    """
    try:
        # Local: the symbols of another driver's library, loaded later in this process, must not mix with these.
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_LOCAL)
    except OSError as error:
        hint = "is the driver installed on the node, and is --lib-dir the folder that holds it?"
        raise NvmlError(f"cannot load {path}: {error}", hint) from error
    pynvml.nvmlLib = library
    pynvml._nvmlGetFunctionPointer_cache.clear()
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NvmlError(f"{path} does not start: {error}", NEXT_STEPS.get(error.value, "")) from error
    return Nvml(path, sys, replayed=hasattr(library, "gpuready_replay"))


def file_identity(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def cuda_version(folder: Path) -> str | Unknown:
    """The highest CUDA version that the driver of this folder speaks: 13.0.

    NVML asks libcuda, which it loads by its bare name: loaded already from its folder, it is found.
    """
    with loaded(folder / "libcuda.so.1"):
        number = ask(pynvml.nvmlSystemGetCudaDriverVersion_v2)  # 13000 is 13.0
    return number if isinstance(number, Unknown) else f"{number // 1000}.{number % 1000 // 10}"


@contextlib.contextmanager
def loaded(library: Path) -> Iterator[None]:
    """The library is in this process meanwhile; without effect where it cannot be loaded."""
    try:
        handle = ctypes.CDLL(str(library))._handle
    except OSError:
        yield
        return
    try:
        yield
    finally:
        ctypes.CDLL(None).dlclose(ctypes.c_void_p(handle))


def compute_capability(handle: Any) -> tuple[int, int]:
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return int(major), int(minor)


def mig_mode(handle: Any) -> bool | None:
    try:
        return bool(pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE)
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return None


def is_vgpu(handle: Any) -> bool:
    return bool(pynvml.nvmlDeviceGetVirtualizationMode(handle) == pynvml.NVML_GPU_VIRTUALIZATION_MODE_VGPU)


def fabric_clique(handle: Any) -> str | None:
    """The id that NVIDIA's feature discovery calls gpu.clique: only where the fabric is up and has a cluster UUID."""
    info = pynvml.c_nvmlGpuFabricInfo_t()
    try:
        pynvml.nvmlDeviceGetGpuFabricInfo(handle, ctypes.byref(info))
    except (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound):
        return None
    cluster = bytes(info.clusterUuid)
    if info.state != pynvml.NVML_GPU_FABRIC_STATE_COMPLETED or not any(cluster):
        return None
    digits = cluster.hex()
    dashed = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return f"{dashed}.{info.cliqueId}"


def look(handle: Any) -> Vitals:
    try:
        pynvml.nvmlDeviceGetUUID(handle)
        pynvml.nvmlDeviceGetMemoryInfo(handle)  # reaches the GPU itself; the UUID comes from the library's memory
    except pynvml.NVMLError as error:
        return Vitals(error=str(error))
    return Vitals(
        recovery=ask(lambda: field(handle, pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION)),
        remap_failed=ask(lambda: bool(pynvml.nvmlDeviceGetRemappedRows(handle)[3])),
        energy_mj=ask(lambda: int(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle))),
    )
