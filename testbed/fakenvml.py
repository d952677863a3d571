"""An NVML in Python: the functions that pynvml looks up, answered from a table of what each GPU is.

It exists to write constructed captures through the same recorder as real ones, so that the bytes are those of pynvml's
own structures.
Whatever the table does not name is NVML_ERROR_NOT_SUPPORTED, as on a GPU that lacks it.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from testbed.recorder import is_handle, is_text, target

OK, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND, FUNCTION_NOT_FOUND = 0, 2, 3, 6, 13  # nvmlReturn_t
FIRST_ADDRESS = 0x1000  # of handles; the recorder numbers them anew

# What pynvml 13.615.71 looks up and pynvml 13.580.65, made for driver 580, does not.
NEWER_THAN_580 = frozenset(
    {
        "nvmlDeviceGetAccountingStats_v2",
        "nvmlDeviceGetAdaptiveTgpModeInfo_v1",
        "nvmlDeviceGetBBXTimeData_v1",
        "nvmlDeviceGetBankRemapperStatus_v1",
        "nvmlDeviceGetDriverModel_v2",
        "nvmlDeviceGetGpuFabricInfo_v4",
        "nvmlDeviceGetHostname_v1",
        "nvmlDeviceGetMemoryLimits_v1",
        "nvmlDeviceGetNvLinkTelemetrySamples_v1",
        "nvmlDeviceGetRemappedRows_v2",
        "nvmlDeviceGetUnrepairableMemoryFlag_v1",
        "nvmlDeviceGetVgpuSchedulerLog_v2",
        "nvmlDeviceGetVgpuSchedulerState_v2",
        "nvmlDevicePerfMetricsGetSamples_v1",
        "nvmlDeviceReadPRMCounters_v1",
        "nvmlDeviceSetAdaptiveTgpMode_v1",
        "nvmlDeviceSetHostname_v1",
        "nvmlDeviceSetMemoryLimits_v1",
        "nvmlDeviceSetNvlinkBwModeAsync_v1",
        "nvmlDeviceSetRusdSettings_v1",
        "nvmlDeviceSetVgpuSchedulerState_v2",
        "nvmlDeviceVgpuForceGspUnload",
        "nvmlDeviceWorkloadPowerProfileUpdateProfiles_v1",
        "nvmlEventSetGetContextCount_v1",
        "nvmlEventSetGetContextData_v1",
        "nvmlEventSetGetContextInfo_v1",
        "nvmlEventSetGetGpuOperationalEventContextLegacyXid_v1",
        "nvmlEventSetRegisterGpuOperationalEvents_v1",
        "nvmlEventSetWait_v3",
        "nvmlGpuInstanceGetVgpuSchedulerLog_v2",
        "nvmlGpuInstanceGetVgpuSchedulerState_v2",
        "nvmlGpuInstanceSetVgpuSchedulerState_v2",
        "nvmlSystemGetCPER_v1",
    }
)


class Refused(Exception):
    """An NVML return code instead of an answer."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


Answer = Callable[..., Any]


class FakeNvml:
    """Functions by name. An answer gets the devices, numbers and strings of the call, and those of its objects that are
    not empty; it returns what the out arguments become, in order."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = dict(answers)
        self._objects: list[Any] = []  # what a handle stands for, by number

    def function(self, name: str) -> Any:
        """For pynvml._nvmlGetFunctionPointer; raises its FunctionNotFound for what a driver 580 does not have."""
        if name in NEWER_THAN_580:
            import pynvml

            raise pynvml.NVMLError(FUNCTION_NOT_FOUND)
        return lambda *args: self._call(name, args)

    def _call(self, name: str, args: tuple[Any, ...]) -> int:
        answer = self._answers.get(name)
        if answer is None:
            return OK if name in ("nvmlInitWithFlags", "nvmlShutdown") else NOT_SUPPORTED
        try:
            result = answer(*self._given(args))
        except Refused as e:
            return e.code
        outs = [o for a in args if (o := target(a)) is not None]
        for out, value in zip(outs, result if isinstance(result, tuple) else (result,), strict=False):
            self._fill(out, value)
        return OK

    def _given(self, args: tuple[Any, ...]) -> list[Any]:
        given: list[Any] = []
        for i, arg in enumerate(args):
            if arg is None:
                given.append(None)
            elif is_handle(type(arg)):
                address = ctypes.cast(arg, ctypes.c_void_p).value or 0
                given.append(self._objects[address - FIRST_ADDRESS])
            elif (out := target(arg)) is None and not (i and is_length(args[i - 1], arg)):
                given.append(plain(arg))
            elif out is not None and not is_text(out) and any(bytes(out)):
                given.append(out)  # asked about: the answer reads it
        return given

    def _address(self, thing: Any) -> int:
        if not any(o is thing for o in self._objects):
            self._objects.append(thing)
        return FIRST_ADDRESS + next(i for i, o in enumerate(self._objects) if o is thing)

    def _fill(self, out: Any, value: Any) -> None:
        if is_handle(type(out)):
            ctypes.c_void_p.from_address(ctypes.addressof(out)).value = self._address(value)
        elif is_text(out):
            out.value = value.encode()
        elif isinstance(out, ctypes.Array):
            for i, item in enumerate(value):
                self._fill_item(out, i, item)
        elif isinstance(out, ctypes.Structure | ctypes.Union):
            for key, item in value.items():
                self._fill_member(out, key, item)
        else:
            out.value = value

    def _fill_item(self, array: Any, i: int, item: Any) -> None:
        kind = array._type_
        if issubclass(kind, ctypes._SimpleCData):
            array[i] = item
        else:
            self._fill(kind.from_address(ctypes.addressof(array) + i * ctypes.sizeof(kind)), item)

    def _fill_member(self, out: Any, key: str, item: Any) -> None:
        kind = next(f[1] for f in type(out)._fields_ if f[0] == key)
        if is_handle(kind) or issubclass(kind, ctypes.Structure | ctypes.Union):
            self._fill(kind.from_address(ctypes.addressof(out) + getattr(type(out), key).offset), item)
        else:
            setattr(out, key, item)


def is_length(previous: Any, arg: Any) -> bool:
    text = target(previous)
    return text is not None and is_text(text) and plain(arg) == len(text)


def plain(arg: Any) -> Any:
    return arg.value if isinstance(arg, ctypes._SimpleCData) else arg


def functions_of(pynvml: Any) -> list[str]:
    """Every function name that this pynvml looks up in the library."""
    text = Path(pynvml.__file__).read_text(encoding="utf-8")
    return sorted(set(re.findall(r'_nvmlGetFunctionPointer\("(\w+)"\)', text)))
