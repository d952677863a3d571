"""Every GPU that this container was given adds a million pairs of numbers, and every sum is compared.

Through libcuda.so.1 as any CUDA program loads it, by name, so that what works here works for others. The numbers come
from the nonce and the GPU's UUID: an answer cannot have been prepared, nor be another GPU's.
https://docs.nvidia.com/cuda/cuda-driver-api/
"""

from __future__ import annotations

import ctypes
import hashlib
import operator
import os
import re
import threading
import time
import uuid
from array import array
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from gpuready.model.facts.compute import ComputeReport, GpuRun

LIBRARY = "libcuda.so.1"
ELEMENTS = 1 << 20
BLOCK = 256
MOST_GPUS = 64
SECONDS = 90.0  # for all GPUs; a GPU that hangs never returns from the driver
# Where the driver's libraries lie in containers, also where the loader does not look by itself.
KNOWN_FOLDERS = ("/usr/local/nvidia/lib64", "/usr/local/nvidia/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib64")
DEVICE_NODES = ("nvidiactl", "nvidia-uvm")  # besides one nvidiaN

# PTX is compiled by the driver for the GPU that is there. Version and target are the oldest that matter, those of
# Kepler GPUs and CUDA 5.5; driver 580 on an H100 takes them.
PTX = b"""
.version 3.2
.target sm_30
.address_size 64
.visible .entry vadd(.param .u64 left, .param .u64 right, .param .u64 sum, .param .u32 count)
{
  .reg .pred %done;
  .reg .f32 %f<4>;
  .reg .b32 %r<6>;
  .reg .b64 %d<8>;
  mov.u32 %r1, %ctaid.x;
  mov.u32 %r2, %ntid.x;
  mov.u32 %r3, %tid.x;
  mad.lo.s32 %r4, %r1, %r2, %r3;
  ld.param.u32 %r5, [count];
  setp.ge.u32 %done, %r4, %r5;
  @%done bra END;
  ld.param.u64 %d1, [left];
  ld.param.u64 %d2, [right];
  ld.param.u64 %d3, [sum];
  mul.wide.u32 %d4, %r4, 4;
  add.s64 %d5, %d1, %d4;
  add.s64 %d6, %d2, %d4;
  add.s64 %d7, %d3, %d4;
  ld.global.f32 %f1, [%d5];
  ld.global.f32 %f2, [%d6];
  add.f32 %f3, %f1, %f2;
  st.global.f32 [%d7], %f3;
END:
  ret;
}
"""

# What an error of the driver means in a container. Names and meanings: CUresult in the driver API's reference.
MEANINGS = {
    "CUDA_ERROR_STUB_LIBRARY": "the toolkit's stub of libcuda.so.1 was loaded in place of the driver's",
    "CUDA_ERROR_DEVICE_UNAVAILABLE": "another process holds the GPU alone, or it is in a compute mode that refuses",
    "CUDA_ERROR_NO_DEVICE": "no GPU can be opened in this container",
    "CUDA_ERROR_NO_BINARY_FOR_GPU": "the driver cannot compile for this GPU",
    "CUDA_ERROR_ECC_UNCORRECTABLE": "the GPU's memory has an error that cannot be corrected: it needs a reset",
    "CUDA_ERROR_JIT_COMPILER_NOT_FOUND": "libnvidia-ptxjitcompiler.so.1 is not in the container",
    "CUDA_ERROR_OPERATING_SYSTEM": "the kernel refused a call: are the device nodes allowed for this container?",
    "CUDA_ERROR_NOT_PERMITTED": "the driver does not permit it to this user",
    "CUDA_ERROR_SYSTEM_NOT_READY": "the node's fabric manager does not run, or has not finished",
    "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH": "libcuda.so.1 is of another version than the node's kernel driver",
    "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": "a forward-compatibility libcuda.so.1 was loaded; this GPU has none",
    "CUDA_ERROR_MPS_CONNECTION_FAILED": "the MPS daemon does not answer",
}


class CudaError(Exception):
    """A call of the driver API failed: "cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY (2)", and what that means here."""

    def __init__(self, call: str, name: str, code: int) -> None:
        meaning = f": {MEANINGS[name]}" if name in MEANINGS else ""
        super().__init__(f"{call}: {name} ({code}){meaning}")


class Cuda:
    """The driver API of one loaded library; each call that does not return 0 raises CudaError."""

    def __init__(self, library: Any) -> None:
        self._library = library
        self.doing = ""  # the last call, for when it never returns

    def __call__(self, name: str, *arguments: Any) -> None:
        self.doing = name
        try:
            function = getattr(self._library, name)
        except AttributeError:
            raise CudaError(name, "this libcuda.so.1 does not have it", -1) from None
        if code := function(*arguments):
            raise CudaError(name, self._name(code), code)

    def has(self, name: str) -> bool:
        return hasattr(self._library, name)

    def _name(self, code: int) -> str:
        text = ctypes.c_char_p()
        if self.has("cuGetErrorName") and not self._library.cuGetErrorName(code, ctypes.byref(text)) and text.value:
            return text.value.decode("ascii", "replace")
        return "unknown error"


def compute(
    nonce: str,
    node: str,
    expect: int | None = None,
    *,
    load: Callable[[], Any] = lambda: ctypes.CDLL(LIBRARY),
    dev: Path = Path("/dev"),
    seconds: float = SECONDS,
) -> ComputeReport:
    """Run on every visible GPU, one after the other. What a node or a driver may do wrong is in the report."""
    # A cache beneath the home directory is no use in a container that ends, and may not be writable.
    os.environ.setdefault("CUDA_CACHE_DISABLE", "1")
    empty = ComputeReport(nonce=nonce, node=node)
    try:
        library = load()
    except OSError as error:
        return msgspec.structs.replace(empty, error=f"{LIBRARY} cannot be loaded: {error}{_lies_elsewhere()}")
    cuda = Cuda(library)
    reports = [msgspec.structs.replace(empty, replayed=cuda.has("gpuready_replay"))]
    worker = threading.Thread(target=_run_all, args=(cuda, expect, dev, reports), daemon=True)
    worker.start()
    worker.join(seconds)
    if worker.is_alive():
        return msgspec.structs.replace(
            reports[-1], error=f"{cuda.doing} has not returned for {seconds:.0f} s: the GPU or its driver hangs"
        )
    return reports[-1]


def _run_all(cuda: Cuda, expect: int | None, dev: Path, reports: list[ComputeReport]) -> None:
    """Appends a longer report after each GPU, also when something unforeseen ends it: silence would read as success."""
    try:
        _run(cuda, expect, dev, reports)
    except Exception as error:
        broke = f"the probe broke off: {type(error).__name__}: {error}"
        reports.append(msgspec.structs.replace(reports[-1], error=broke))


def _run(cuda: Cuda, expect: int | None, dev: Path, reports: list[ComputeReport]) -> None:
    try:
        cuda("cuInit", 0)
        version, count = ctypes.c_int(), ctypes.c_int()
        cuda("cuDriverGetVersion", ctypes.byref(version))
        spoken = f"{version.value // 1000}.{version.value % 1000 // 10}"
        reports.append(msgspec.structs.replace(reports[-1], cuda=spoken))
        cuda("cuDeviceGetCount", ctypes.byref(count))
    except CudaError as error:
        reports.append(msgspec.structs.replace(reports[-1], error=f"{error}; {present(dev)}"))
        return
    visible = min(count.value, MOST_GPUS)
    for ordinal in range(visible):
        run = run_gpu(cuda, ordinal, reports[-1].nonce)
        reports.append(msgspec.structs.replace(reports[-1], gpus=(*reports[-1].gpus, run)))
    if expect is not None and count.value != expect:
        wrong = f"{expect} GPUs were asked for and {count.value} are visible; {present(dev)}"
        reports.append(msgspec.structs.replace(reports[-1], error=wrong))
    elif not visible:
        reports.append(msgspec.structs.replace(reports[-1], error=f"no GPU is visible; {present(dev)}"))


def run_gpu(cuda: Cuda, ordinal: int, nonce: str) -> GpuRun:
    """One GPU's run; an error of any call is in the result."""
    begun = time.monotonic()
    identity, name = "", ""
    elements = wrong = 0
    error = ""
    try:
        device = ctypes.c_int()
        cuda("cuDeviceGet", ctypes.byref(device), ordinal)
        identity, name = identify(cuda, device)
        left, right, wanted = numbers(f"{nonce}/{identity}", ELEMENTS)
        got = add(cuda, device, left, right)
        wrong = differing(got, wanted)
        elements = len(wanted)
    except CudaError as failed:
        error = str(failed)
    seconds = round(time.monotonic() - begun, 3)
    return GpuRun(uuid=identity, name=name, elements=elements, wrong=wrong, seconds=seconds, error=error)


def identify(cuda: Cuda, device: ctypes.c_int) -> tuple[str, str]:
    """UUID as NVML writes it, and the name. The newer call (CUDA 11.4) gives a MIG device's own UUID."""
    text = ctypes.create_string_buffer(128)
    cuda("cuDeviceGetName", text, len(text), device)
    name = "".join(char for char in text.value.decode("utf-8", "replace") if char.isprintable())
    octets = (ctypes.c_ubyte * 16)()
    cuda("cuDeviceGetUuid_v2" if cuda.has("cuDeviceGetUuid_v2") else "cuDeviceGetUuid", octets, device)
    kind = "MIG" if re.search(r" MIG \d", name) else "GPU"
    return f"{kind}-{uuid.UUID(bytes=bytes(octets))}", name


def numbers(seed: str, count: int) -> tuple[array[float], array[float], array[float]]:
    """Two arrays drawn from `seed` and their sum. Whole numbers below 2^16: single precision adds them exactly."""
    drawn = hashlib.shake_256(seed.encode("utf-8", "surrogateescape")).digest(4 * count)
    left, right = array("H", drawn[: 2 * count]), array("H", drawn[2 * count :])
    return array("f", left), array("f", right), array("f", map(operator.add, left, right))


def differing(got: array[float], wanted: array[float]) -> int:
    """How many elements are not what they ought to be, each one compared."""
    return 0 if got.tobytes() == wanted.tobytes() else sum(map(operator.ne, got, wanted))


def add(cuda: Cuda, device: ctypes.c_int, left: array[float], right: array[float]) -> array[float]:
    """The GPU's sum of the two arrays, in a context that is released again."""
    size = len(left) * left.itemsize
    with ExitStack() as after:
        context = ctypes.c_void_p()
        cuda("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        after.callback(_quietly, cuda, "cuDevicePrimaryCtxRelease_v2", device)
        cuda("cuCtxSetCurrent", context)
        module, function = ctypes.c_void_p(), ctypes.c_void_p()
        cuda("cuModuleLoadData", ctypes.byref(module), PTX)
        after.callback(_quietly, cuda, "cuModuleUnload", module)
        cuda("cuModuleGetFunction", ctypes.byref(function), module, b"vadd")
        places = []
        for _ in range(3):
            place = ctypes.c_uint64()
            cuda("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(size))
            after.callback(_quietly, cuda, "cuMemFree_v2", place)
            places.append(place)
        for place, values in zip(places, (left, right), strict=False):
            cuda("cuMemcpyHtoD_v2", place, ctypes.c_void_p(values.buffer_info()[0]), ctypes.c_size_t(size))
        _launch(cuda, function, places, len(left))
        cuda("cuCtxSynchronize")
        got = array("f", bytes(size))
        cuda("cuMemcpyDtoH_v2", ctypes.c_void_p(got.buffer_info()[0]), places[2], ctypes.c_size_t(size))
    return got


def _launch(cuda: Cuda, function: ctypes.c_void_p, places: list[ctypes.c_uint64], count: int) -> None:
    values = [*places, ctypes.c_uint32(count)]
    arguments = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
    blocks = (count + BLOCK - 1) // BLOCK
    cuda("cuLaunchKernel", function, blocks, 1, 1, BLOCK, 1, 1, 0, None, arguments, None)


def _quietly(cuda: Cuda, name: str, *arguments: Any) -> None:
    """Give back what the run took; after a failure that fails too, and the first failure is the one to tell."""
    try:
        cuda(name, *arguments)
    except CudaError:
        return


def present(dev: Path) -> str:
    """Which NVIDIA device nodes this container has, and which it lacks."""
    try:
        names = sorted(name for name in os.listdir(dev) if re.fullmatch(r"nvidia[a-z0-9-]{0,32}", name))
    except OSError:
        names = []
    lacking = [name for name in DEVICE_NODES if name not in names]
    if not any(re.fullmatch(r"nvidia\d+", name) for name in names):
        lacking.insert(0, "nvidia<number>")
    has = f"{dev} has {', '.join(names) or 'no nvidia device node'}"
    return f"{has}; it lacks {', '.join(lacking)}" if names and lacking else has


def _lies_elsewhere() -> str:
    """For a loader that does not look where the library lies."""
    for folder in KNOWN_FOLDERS:
        if os.path.exists(f"{folder}/{LIBRARY}"):
            return f" (it lies in {folder}, where the loader does not look, or refused it)"
    return " (the container was given no driver libraries)"
