"""Reads what a GPU node shows besides NVML: the driver's /proc tree, PCI, device nodes, libraries."""

from __future__ import annotations

import os
import re
import stat
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

NVIDIA = "0x10de"
LARGEST = 64 << 10  # bytes read of one file; mig-minors is the largest
PCI_FILES = ("vendor", "device", "class", "subsystem_vendor", "subsystem_device", "numa_node", "revision")
SINGLE = (
    "/sys/module/nvidia/version",
    "/sys/module/nvidia/refcnt",
    "/etc/os-release",
    "/proc/driver/nvidia-caps/mig-minors",
    "/proc/driver/nvidia-caps/sys-minors",
    "/proc/driver/nvidia-caps/fabric-imex-minors",
)
DT_STRTAB, DT_SONAME, PT_LOAD, PT_DYNAMIC = 5, 14, 1, 2  # elf(5)


def node(library: Path, gpus: int) -> dict[str, Any]:
    """All of it. The folder of `library` is listed; `gpus`: how many GPUs' capability numbers to keep."""
    files = {p: t for p in [*SINGLE, *below("/proc/driver/nvidia")] if (t := text(p)) is not None}
    links = {}
    for device in pci_devices():
        files |= {f"{device}/{n}": t for n in PCI_FILES if (t := text(f"{device}/{n}")) is not None}
        if os.path.islink(f"{device}/driver"):
            links[f"{device}/driver"] = os.readlink(f"{device}/driver")
    minors = "/proc/driver/nvidia-caps/mig-minors"
    if minors in files:  # the driver lists 32 GPUs whatever there is
        files[minors] = "".join(line for line in files[minors].splitlines(True) if gpu_of(line) < gpus)
    return {
        "files": files,
        "links": links,
        "device_nodes": list(device_nodes()),
        "libraries": list(libraries(library.parent)),
        "kernel": os.uname().release.partition("-")[0],  # what follows may name whose build it is
    }


def gpu_of(line: str) -> int:
    found = re.match(r"gpu(\d+)/", line)
    return int(found[1]) if found else -1


def text(path: str) -> str | None:
    try:
        with open(path, "rb") as f:
            return f.read(LARGEST).decode("utf-8", "replace")
    except OSError:
        return None


def below(folder: str) -> Iterator[str]:
    for at, _, names in os.walk(folder):
        yield from (f"{at}/{n}" for n in sorted(names))


def pci_devices() -> Iterable[str]:
    folder = "/sys/bus/pci/devices"
    found = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    return [f"{folder}/{n}" for n in found if (text(f"{folder}/{n}/vendor") or "").strip() == NVIDIA]


def device_nodes(dev: str = "/dev") -> Iterator[dict[str, Any]]:
    names = [n for n in sorted(os.listdir(dev)) if n.startswith("nvidia")]
    names += [f"nvidia-caps/{n}" for n in sorted(os.listdir(f"{dev}/nvidia-caps"))] if "nvidia-caps" in names else []
    for name in names:
        info = os.lstat(f"{dev}/{name}")
        if stat.S_ISCHR(info.st_mode):
            mode = f"{stat.S_IMODE(info.st_mode):04o}"
            yield {
                "path": f"/dev/{name}",
                "type": "c",
                "major": os.major(info.st_rdev),
                "minor": os.minor(info.st_rdev),
                "mode": mode,
            }


def libraries(folder: Path) -> Iterator[dict[str, str]]:
    """The driver's shared objects: name, and where a link points to or which SONAME the file has."""
    for path in sorted(folder.iterdir()):
        if ".so" not in path.name or not re.match(
            r"lib(nvidia|cuda|nvcuvid|vdpau_nvidia|EGL_nvidia|GLX_nvidia)", path.name
        ):
            continue
        if path.is_symlink():
            yield {"name": path.name, "link": os.readlink(path)}
        elif path.is_file():
            yield {"name": path.name, "soname": soname(path)}


def soname(path: Path) -> str:
    """DT_SONAME of a 64-bit little-endian ELF file, "" when it has none (elf(5))."""
    with path.open("rb") as f:
        head = f.read(64)
        if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
            return ""
        offset, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        f.seek(offset)
        headers = [struct.unpack_from("<IIQQQQ", f.read(size)) for _ in range(min(count, 64))]
        loads = [(address, start, length) for kind, _, start, address, _, length in headers if kind == PT_LOAD]
        dynamic = [(start, length) for kind, _, start, _, _, length in headers if kind == PT_DYNAMIC]
        if not dynamic:
            return ""
        f.seek(dynamic[0][0])
        table = dict(struct.iter_unpack("<QQ", f.read(dynamic[0][1] // 16 * 16)))
        if DT_SONAME not in table:
            return ""
        strings = table[DT_STRTAB]
        at = next((strings - a + start for a, start, length in loads if a <= strings < a + length), strings)
        f.seek(at + table[DT_SONAME])
        return f.read(256).split(b"\0")[0].decode("ascii", "replace")
