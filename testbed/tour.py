"""Asks NVML everything that a device plugin, labels, metrics, health checks and MIG tools ask.

It only reads: each function called is a Get or an Is. What the GPU does not support is an answer as well.
"""

from __future__ import annotations

import ctypes
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from testbed.recorder import SECRET

MIG_PROFILES = range(16)
LINKS = range(36)  # NVML_NVLINK_MAX_LINKS; those a GPU lacks say so
FIELD_IDS = range(1, 308)
# Slow, racy, or with answers behind pointers that a capture does not follow.
SKIPPED = SECRET | {
    "nvmlDeviceGetAccountingPids",
    "nvmlDeviceGetRunningProcessDetailList",
    "nvmlDeviceGetPerformanceModes",
    "nvmlDeviceGetProcessesUtilizationInfo",
    "nvmlDeviceGetVgpuSchedulerLog",
    "nvmlDeviceGetVgpuSchedulerState",
}


class Tour:
    """One walk through the library that pynvml has loaded."""

    def __init__(self, pynvml: Any) -> None:
        self.nvml = pynvml
        self.gpus: list[Any] = []
        self.migs: list[list[Any]] = []  # per GPU
        self.broken: list[str] = []  # functions in which pynvml itself failed, and how

    def run(self) -> None:
        """Raises NVMLError when the library cannot be initialised; every other refusal is recorded and passed over."""
        self.nvml.nvmlInit()
        try:
            self._system()
            self._handles()
            for gpu in self.gpus:
                self._gpu(gpu)
            for first in self.gpus:
                for second in self.gpus:
                    self._pair(first, second)
        finally:
            self.nvml.nvmlShutdown()

    def ask(self, name: str, *args: Any) -> Any:
        """The answer, or None where NVML refuses."""
        function = getattr(self.nvml, name, None)
        if function is None:
            return None
        try:
            return function(*args)
        except self.nvml.NVMLError:
            return None
        except Exception as e:  # pynvml's own slips must not cost the capture of a machine that is hard to get
            self.broken.append(f"{name}: {e!r}"[:200])
            return None

    def _system(self) -> None:
        for name, function in named(self.nvml, "nvmlSystemGet"):
            if not inspect.signature(function).parameters:
                self.ask(name)
        for cpu in range(2):
            self.ask("nvmlSystemGetTopologyGpuSet", cpu)

    def _handles(self) -> None:
        count = self.ask("nvmlDeviceGetCount") or 0
        self.gpus = [g for i in range(count) if (g := self.ask("nvmlDeviceGetHandleByIndex", i)) is not None]
        self.ask("nvmlDeviceGetHandleByIndex", count)
        for gpu in self.gpus:
            self.migs.append(self._mig_handles(gpu))
            if uuid := self.ask("nvmlDeviceGetUUID", gpu):
                self.ask("nvmlDeviceGetHandleByUUID", uuid)
            if serial := self.ask("nvmlDeviceGetSerial", gpu):
                self.ask("nvmlDeviceGetHandleBySerial", serial)
            if pci := self.ask("nvmlDeviceGetPciInfo", gpu):
                self.ask("nvmlDeviceGetHandleByPciBusId", pci.busId)
                self.ask("nvmlDeviceGetHandleByPciBusId", pci.busIdLegacy)

    def _mig_handles(self, gpu: Any) -> list[Any]:
        most = self.ask("nvmlDeviceGetMaxMigDeviceCount", gpu) or 0
        migs = [m for i in range(most) if (m := self.ask("nvmlDeviceGetMigDeviceHandleByIndex", gpu, i)) is not None]
        for mig in migs:
            if uuid := self.ask("nvmlDeviceGetUUID", mig):
                self.ask("nvmlDeviceGetHandleByUUID", uuid)
            self.ask("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", mig)
        return migs

    def _gpu(self, gpu: Any) -> None:
        self._plain(gpu)
        self._numbered(gpu)
        self._structures(gpu)
        self._fields(gpu)
        self._links(gpu)
        self._mig(gpu)
        for mig in self.migs[self.gpus.index(gpu)]:
            self._plain(mig)
            self.ask("nvmlDeviceGetMemoryInfo", mig, self.nvml.nvmlMemory_v2)
            self._structures(mig)

    def _plain(self, device: Any) -> None:
        """Every question that needs a device and nothing else."""
        for prefix in ("nvmlDeviceGet", "nvmlDeviceIs"):
            for name, function in named(self.nvml, prefix):
                given = list(inspect.signature(function).parameters.values())
                if not given or given[0].name not in ("handle", "device", "migDevice"):
                    continue
                if all(p.default is not p.empty for p in given[1:]):
                    # a default object is shared by all calls and keeps the last answer: pass fresh ones
                    self.ask(name, device, *(fresh(p.default) for p in given[1:]))

    def _numbered(self, gpu: Any) -> None:
        for name, choices in NUMBERED:
            for choice in choices:
                self.ask(name, gpu, *choice)
        for clock in self.ask("nvmlDeviceGetSupportedMemoryClocks", gpu) or ():
            self.ask("nvmlDeviceGetSupportedGraphicsClocks", gpu, clock)
        self.ask("nvmlDeviceGetMemoryInfo", gpu, self.nvml.nvmlMemory_v2)

    def _structures(self, device: Any) -> None:
        for name, structure in STRUCTURES:
            kind = getattr(self.nvml, structure, None)
            if kind is not None:
                self.ask(name, device, ctypes.byref(kind()))

    def _fields(self, gpu: Any) -> None:
        for field in FIELD_IDS:
            self.ask("nvmlDeviceGetFieldValues", gpu, [field])

    def _links(self, gpu: Any) -> None:
        for link in LINKS:
            if self.ask("nvmlDeviceGetNvLinkState", gpu, link) is None:
                continue
            for name in ("Version", "RemotePciInfo", "RemoteDeviceType"):
                self.ask(f"nvmlDeviceGetNvLink{name}", gpu, link)
            for capability in range(self.nvml.NVML_NVLINK_CAP_COUNT):
                self.ask("nvmlDeviceGetNvLinkCapability", gpu, link, capability)
            for counter in range(self.nvml.NVML_NVLINK_ERROR_COUNT):
                self.ask("nvmlDeviceGetNvLinkErrorCounter", gpu, link, counter)

    def _mig(self, gpu: Any) -> None:
        for profile in MIG_PROFILES:
            for version in (1, 2):
                info = self.ask("nvmlDeviceGetGpuInstanceProfileInfo", gpu, profile, version)
            if info is None:
                continue
            self.ask("nvmlDeviceGetGpuInstanceRemainingCapacity", gpu, info.id)
            self._placements(gpu, info.id)
            for instance in self._instances("nvmlDeviceGetGpuInstances", gpu, info):
                self.ask("nvmlGpuInstanceGetInfo", instance)
                self._compute_instances(instance)

    def _placements(self, gpu: Any, profile: int) -> None:
        count = ctypes.c_uint()
        self.ask("nvmlDeviceGetGpuInstancePossiblePlacements", gpu, profile, None, ctypes.byref(count))
        if count.value:
            places = (self.nvml.c_nvmlGpuInstancePlacement_t * count.value)()
            self.ask("nvmlDeviceGetGpuInstancePossiblePlacements", gpu, profile, places, ctypes.byref(count))

    def _instances(self, question: str, parent: Any, info: Any) -> list[Any]:
        kind = self.nvml.c_nvmlGpuInstance_t if question.startswith("nvmlDevice") else self.nvml.c_nvmlComputeInstance_t
        found, count = (kind * max(info.instanceCount, 1))(), ctypes.c_uint()
        if self.ask(question, parent, info.id, found, ctypes.byref(count)) is None:
            return []
        return list(found[: count.value])

    def _compute_instances(self, instance: Any) -> None:
        for profile in range(self.nvml.NVML_COMPUTE_INSTANCE_PROFILE_COUNT):
            info = self.ask("nvmlGpuInstanceGetComputeInstanceProfileInfo", instance, profile, 0)
            if info is None:
                continue
            self.ask("nvmlGpuInstanceGetComputeInstanceRemainingCapacity", instance, info.id)
            for compute in self._instances("nvmlGpuInstanceGetComputeInstances", instance, info):
                self.ask("nvmlComputeInstanceGetInfo", compute)

    def _pair(self, first: Any, second: Any) -> None:
        self.ask("nvmlDeviceGetTopologyCommonAncestor", first, second)
        self.ask("nvmlDeviceOnSameBoard", first, second)
        for capability in range(5):
            self.ask("nvmlDeviceGetP2PStatus", first, second, capability)


def named(pynvml: Any, prefix: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """pynvml's functions of that prefix, by name, without those that the tour leaves out."""
    for name in sorted(vars(pynvml)):
        function = getattr(pynvml, name)
        if name.startswith(prefix) and inspect.isfunction(function) and name not in SKIPPED:
            yield name, function


def fresh(default: Any) -> Any:
    return type(default)() if isinstance(default, (ctypes.Structure, ctypes._SimpleCData)) else default


def each(*counts: int) -> list[tuple[int, ...]]:
    """All combinations of numbers below each count."""
    choices: list[tuple[int, ...]] = [()]
    for count in counts:
        choices = [(*c, i) for c in choices for i in range(count)]
    return choices


NUMBERED: tuple[tuple[str, list[tuple[int, ...]]], ...] = (
    ("nvmlDeviceGetAPIRestriction", each(2)),
    ("nvmlDeviceGetApplicationsClock", each(4)),
    ("nvmlDeviceGetClock", each(4, 4)),
    ("nvmlDeviceGetClockInfo", each(4)),
    ("nvmlDeviceGetCpuAffinity", [(1,), (2,), (4,), (16,)]),
    ("nvmlDeviceGetCpuAffinityWithinScope", [(4, 0), (4, 1)]),
    ("nvmlDeviceGetDefaultApplicationsClock", each(4)),
    ("nvmlDeviceGetDetailedEccErrors", each(2, 2)),
    ("nvmlDeviceGetEncoderCapacity", each(3)),
    ("nvmlDeviceGetFanSpeed_v2", each(1)),
    ("nvmlDeviceGetInforomVersion", each(4)),
    ("nvmlDeviceGetMaxClockInfo", each(4)),
    ("nvmlDeviceGetMaxCustomerBoostClock", each(4)),
    ("nvmlDeviceGetMemoryAffinity", [(1, 0), (1, 1)]),
    ("nvmlDeviceGetMemoryErrorCounter", each(2, 2, 8)),
    ("nvmlDeviceGetPcieThroughput", each(2)),
    ("nvmlDeviceGetRetiredPages", each(2)),
    ("nvmlDeviceGetRetiredPages_v2", each(2)),
    ("nvmlDeviceGetTemperature", each(2)),
    ("nvmlDeviceGetTemperatureThreshold", each(8)),
    ("nvmlDeviceGetTemperatureV1", each(2)),
    ("nvmlDeviceGetThermalSettings", [(15,)]),
    ("nvmlDeviceGetTopologyNearestGpus", [(0,), (10,), (20,), (30,), (40,), (50,)]),
    ("nvmlDeviceGetTotalEccErrors", each(2, 2)),
    ("nvmlDeviceGetVgpuCapabilities", each(8)),
    ("nvmlDeviceGetViolationStatus", each(8)),
)
STRUCTURES = (
    ("nvmlDeviceGetGpuFabricInfo", "c_nvmlGpuFabricInfo_t"),
    ("nvmlDeviceGetGpuFabricInfoV", "c_nvmlGpuFabricInfo_v2_t"),
    ("nvmlDeviceGetGpuFabricInfoV", "c_nvmlGpuFabricInfo_v3_t"),
    ("nvmlDeviceGetSramEccErrorStatus", "c_nvmlEccSramErrorStatus_v1_t"),
    ("nvmlDeviceGetCapabilities", "c_nvmlDeviceCapabilities_v1_t"),
    ("nvmlDeviceGetNvlinkBwMode", "c_nvmlNvlinkGetBwMode_v1_t"),
)
