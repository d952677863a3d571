"""Writes down every NVML call that pynvml makes, byte for byte, so that a library can give the same answers again.

pynvml asks its C library for each function by name (`_nvmlGetFunctionPointer`) and passes ctypes values; the recorder
stands at that one place. A call becomes one line: `<function> <return code> <argument>...`, each argument one word:

| word | argument |
|---|---|
| `i7`, `q7` | integer of 32, 64 bits |
| `p7e5d00001000` | handle; real pointers are numbered as they appear, so that a capture does not depend on addresses |
| `s<hex>` | string that the caller gives |
| `n` | NULL |
| `b<hex>`, then `l` | text buffer as it was left, without the zeros at its end, and its length |
| `o<size>:<hex>:<hex>` | object of that size, before and after the call, each without the zeros at its end |

Field values, which are asked in lists, are kept one by one: `<handle> <field> <scope> <code> <type> <value>`.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any

FIRST_HANDLE = 0x7E5D00001000
HANDLE_STEP = 0x1000
POINTER_BYTES = ctypes.sizeof(ctypes.c_void_p)
FIELD_VALUE = struct.Struct("<IIqqIIQ")  # nvmlFieldValue_t: field, scope, time, latency, type, code, value

UNKNOWN_FIELD = (3, 0, 0)  # NVML_ERROR_NOT_SUPPORTED and nothing else: what a replay says of a field that is not kept

# Answered by the replay itself (state, time, text), never from a record.
LIVE = frozenset(
    {
        "nvmlErrorString",
        "nvmlShutdown",
        "nvmlEventSetCreate",
        "nvmlEventSetFree",
        "nvmlDeviceRegisterEvents",
        "nvmlEventSetWait",
        "nvmlEventSetWait_v2",
        "nvmlEventSetWait_v3",
    }
)
# Their answers name a machine, a rack or a person, or are certificates: the call is made, nothing is kept.
SECRET = frozenset(
    {
        "nvmlDeviceGetPlatformInfo",
        "nvmlDeviceGetPdi",
        "nvmlDeviceGetHostname_v1",
        "nvmlSystemGetProcessName",
        "nvmlDeviceGetConfComputeGpuCertificate",
        "nvmlDeviceGetConfComputeGpuAttestationReport",
        "nvmlSystemGetCPER_v1",
    }
)
FIELDS = "nvmlDeviceGetFieldValues"


class Recorder:
    """Between pynvml and the library. `calls` and `fields` keep the first answer to each question."""

    def __init__(self, pynvml: Any) -> None:
        self.calls: dict[str, str] = {}  # question -> whole line
        self.fields: dict[str, str] = {}
        self.absent: set[str] = set()  # functions that this library does not have
        self._handles: dict[int, int] = {}
        self._lock = threading.Lock()
        self._pynvml = pynvml
        self._resolve: Callable[[str], Any] = pynvml._nvmlGetFunctionPointer

    def __enter__(self) -> Recorder:
        self._pynvml._nvmlGetFunctionPointer = self.function
        return self

    def __exit__(self, *_: object) -> None:
        self._pynvml._nvmlGetFunctionPointer = self._resolve

    def function(self, name: str) -> Any:
        """What pynvml gets for `name`: the real function, watched. Raises pynvml's error when the library has none."""
        try:
            real = self._resolve(name)
        except self._pynvml.NVMLError_FunctionNotFound:
            self.absent.add(name)
            raise
        if name in LIVE or name in SECRET:
            return real
        return lambda *args: self._call(name, real, args)

    def handle(self, pointer: Any) -> int:
        """The number under which a real handle is recorded."""
        return self._number(ctypes.cast(pointer, ctypes.c_void_p).value or 0)

    def _number(self, address: int) -> int:
        if not address:
            return 0
        return self._handles.setdefault(address, FIRST_HANDLE + HANDLE_STEP * len(self._handles))

    def _call(self, name: str, real: Callable[..., int], args: tuple[Any, ...]) -> int:
        before = [self._image(target(a)) for a in args]
        code = real(*args)
        with self._lock:
            if name == FIELDS and code == 0:
                self._keep_fields(args)
            else:
                self._keep_call(name, code, args, before)
        return code

    def _keep_call(self, name: str, code: int, args: tuple[Any, ...], before: list[bytes]) -> None:
        asked, told = [], []
        for i, (arg, old) in enumerate(zip(args, before, strict=True)):
            words = self._words(arg, old, args[i - 1] if i else None)
            asked.append(words[0])
            told.append(words[1])
        self.calls.setdefault(" ".join([name, *asked]), " ".join([name, str(code), *told]))

    def _words(self, arg: Any, old: bytes, previous: Any) -> tuple[str, str]:
        """The argument as the question it is (to tell one call from another), and as it is recorded."""
        obj = target(arg)
        if obj is None:
            word = self._value(arg, previous)
            return word, word
        new = self._image(obj)
        if is_text(obj):
            return "b", f"b{new.rstrip(bytes(1)).hex()}"
        given, filled = old.rstrip(bytes(1)).hex(), new.rstrip(bytes(1)).hex()
        return f"o{len(new)}:{given}", f"o{len(new)}:{given}:{filled}"

    def _value(self, arg: Any, previous: Any) -> str:
        if arg is None or (is_pointer(type(arg)) and not arg):
            return "n"
        if isinstance(arg, ctypes.c_char_p):
            arg = arg.value
        if isinstance(arg, bytes):
            return f"s{arg.hex()}"
        if is_pointer(type(arg)):
            return f"p{self.handle(arg):x}"
        number = int(arg if isinstance(arg, int) else arg.value)
        text = target(previous)
        if text is not None and is_text(text) and len(text) == number:
            return "l"
        if isinstance(arg, ctypes._SimpleCData) and ctypes.sizeof(arg) == 8:
            return f"q{number & 0xFFFFFFFFFFFFFFFF}"
        return f"i{number & 0xFFFFFFFF}"

    def _image(self, obj: Any) -> bytes:
        """The object's bytes: handles by number, other pointers as zero (what they point to is not part of it)."""
        if obj is None:
            return b""
        image = bytearray(ctypes.string_at(ctypes.addressof(obj), ctypes.sizeof(obj)))
        for offset, kind in pointers(type(obj)):
            address = int.from_bytes(image[offset : offset + POINTER_BYTES], "little")
            number = self._number(address) if is_handle(kind) else 0
            image[offset : offset + POINTER_BYTES] = number.to_bytes(POINTER_BYTES, "little")
        return bytes(image)

    def _keep_fields(self, args: tuple[Any, ...]) -> None:
        handle, image = self.handle(args[0]), self._image(target(args[2]))
        for field, scope, _, _, kind, code, value in FIELD_VALUE.iter_unpack(image):
            if (code, kind, value) == UNKNOWN_FIELD:
                continue
            self.fields.setdefault(f"{handle:x} {field} {scope}", f"{handle:x} {field} {scope} {code} {kind} {value:x}")


def target(arg: Any) -> Any:
    """The object that an argument points to and that the call may fill; None for values, handles and NULL."""
    if hasattr(arg, "_obj"):  # byref(x)
        return arg._obj
    if isinstance(arg, ctypes.Array):
        return arg
    if isinstance(arg, ctypes._Pointer) and arg and not is_handle(type(arg)):
        return arg.contents
    if isinstance(arg, ctypes.Structure):
        raise TypeError(f"{type(arg).__name__} passed by value: NVML takes pointers only")
    return None


def is_text(obj: Any) -> bool:
    return isinstance(obj, ctypes.Array) and obj._type_ is ctypes.c_char


def is_pointer(kind: Any) -> bool:
    return isinstance(kind, type) and (issubclass(kind, ctypes._Pointer) or kind in (ctypes.c_void_p, ctypes.c_char_p))


def is_handle(kind: Any) -> bool:
    """An opaque NVML object: a pointer to a structure that has no fields."""
    pointee = getattr(kind, "_type_", None)
    return isinstance(pointee, type) and issubclass(pointee, ctypes.Structure) and not hasattr(pointee, "_fields_")


def pointers(kind: Any, start: int = 0) -> Iterator[tuple[int, Any]]:
    """Offset and type of each pointer within a ctypes type."""
    if is_pointer(kind):
        yield start, kind
    elif issubclass(kind, ctypes.Array):
        if issubclass(kind._type_, ctypes._SimpleCData) and not is_pointer(kind._type_):
            return
        for i in range(kind._length_):
            yield from pointers(kind._type_, start + i * ctypes.sizeof(kind._type_))
    elif issubclass(kind, ctypes.Structure):
        for field in getattr(kind, "_fields_", ()):
            yield from pointers(field[1], start + getattr(kind, field[0]).offset)
