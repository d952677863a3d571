"""The CUDA driver API made of Python: keeps device memory in this process, adds there, fails where it is told to."""

# ruff: noqa: N802, N815 (the driver's own names)

from __future__ import annotations

import ctypes
import uuid
from array import array
from collections.abc import Callable
from typing import Any

FIRST, SECOND = uuid.UUID(int=0x1111), uuid.UUID(int=0x2222)
NAMES = {
    2: b"CUDA_ERROR_OUT_OF_MEMORY",
    100: b"CUDA_ERROR_NO_DEVICE",
    221: b"CUDA_ERROR_JIT_COMPILER_NOT_FOUND",
    700: b"CUDA_ERROR_ILLEGAL_ADDRESS",
    803: b"CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
    999: b"CUDA_ERROR_UNKNOWN",
}
Spoil = Callable[["array[float]"], None]


class Driver:
    """Keeps device memory in this process and adds there; every call can be made to fail, and is written down."""

    def __init__(
        self,
        gpus: tuple[uuid.UUID, ...] = (FIRST,),
        name: str = "NVIDIA H100 80GB HBM3",
        fail: dict[str, int] | None = None,
        lacks: tuple[str, ...] = ("gpuready_replay",),
        spoil: Spoil | None = None,
    ) -> None:
        self.gpus, self.name, self.fail, self.lacks, self.spoil = gpus, name, fail or {}, lacks, spoil
        self.taken: dict[int, Any] = {}
        self.done: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name in self.lacks or not hasattr(Driver, f"do_{name}"):
            raise AttributeError(name)
        return lambda *arguments: self.call(name, arguments)

    def call(self, name: str, arguments: tuple[Any, ...]) -> int:
        self.done.append(name)
        if name in self.fail:
            return self.fail[name]
        getattr(self, f"do_{name}")(*arguments)
        return 0

    def do_gpuready_replay(self) -> None:
        raise AssertionError("this name is looked for, never called")

    def do_cuInit(self, flags: int) -> None:
        assert flags == 0

    def do_cuDriverGetVersion(self, version: Any) -> None:
        version._obj.value = 12080

    def do_cuDeviceGetCount(self, count: Any) -> None:
        count._obj.value = len(self.gpus)

    def do_cuDeviceGet(self, device: Any, ordinal: int) -> None:
        device._obj.value = ordinal

    def do_cuDeviceGetName(self, text: Any, size: int, _device: Any) -> None:
        text.value = self.name.encode()[: size - 1]

    def do_cuDeviceGetUuid(self, octets: Any, device: Any) -> None:
        octets[:] = self.gpus[device.value].bytes

    do_cuDeviceGetUuid_v2 = do_cuDeviceGetUuid

    def do_cuDevicePrimaryCtxRetain(self, context: Any, device: Any) -> None:
        context._obj.value = 0x10 + device.value

    def do_cuDevicePrimaryCtxRelease_v2(self, device: Any) -> None:
        pass

    def do_cuCtxSetCurrent(self, context: Any) -> None:
        assert context.value >= 0x10

    def do_cuModuleLoadData(self, module: Any, image: bytes) -> None:
        assert b".visible .entry vadd(" in image
        module._obj.value = 0x20

    def do_cuModuleGetFunction(self, function: Any, module: Any, name: bytes) -> None:
        assert (module.value, name) == (0x20, b"vadd")
        function._obj.value = 0x30

    def do_cuModuleUnload(self, module: Any) -> None:
        assert module.value == 0x20

    def do_cuMemAlloc_v2(self, place: Any, size: Any) -> None:
        block = ctypes.create_string_buffer(size.value)
        place._obj.value = ctypes.addressof(block)
        self.taken[place._obj.value] = block

    def do_cuMemFree_v2(self, place: Any) -> None:
        del self.taken[place.value]

    def do_cuMemcpyHtoD_v2(self, place: Any, host: Any, size: Any) -> None:
        ctypes.memmove(self.taken[place.value], host, size.value)

    def do_cuMemcpyDtoH_v2(self, host: Any, place: Any, size: Any) -> None:
        ctypes.memmove(host, self.taken[place.value], size.value)

    def do_cuLaunchKernel(self, function: Any, *rest: Any) -> None:
        *grid, shared, stream, arguments, extra = rest
        assert (function.value, grid[1:], shared, stream, extra) == (0x30, [1, 1, 256, 1, 1], 0, None, None)
        left, right, total = (ctypes.c_uint64.from_address(arguments[i]).value for i in range(3))
        count = ctypes.c_uint32.from_address(arguments[3]).value
        assert (grid[0] - 1) * 256 < count <= grid[0] * 256
        one, other = (array("f", self.taken[place].raw) for place in (left, right))
        added = array("f", map(float.__add__, one, other))
        if self.spoil:
            self.spoil(added)
        ctypes.memmove(self.taken[total], added.tobytes(), 4 * count)

    def do_cuCtxSynchronize(self) -> None:
        pass

    def do_cuGetErrorName(self, code: int, text: Any) -> None:
        text._obj.value = NAMES.get(code)
