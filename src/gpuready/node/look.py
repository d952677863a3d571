"""A look at one node from a pod that may only read: PCI devices, driver, driver files, device nodes.

Host paths are seen beneath a prefix (/host). What is not mounted there, or may not be read, is Unknown or not in
`looked_in`; absence is said only of places that were seen.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath

from gpuready.model.facts.host import DriverFiles, HostReport, PciGpu
from gpuready.model.unknown import Unknown
from gpuready.node.driver_files import resolve, visible

NVIDIA, DISPLAY = "0x10de", "0x03"
LINE = 4096  # bytes of a file in /sys or /proc that are read
MOST_NAMES = 100_000  # entries of one directory
LIBRARIES = ("libnvidia-ml.so.1", "libcuda.so.1")
LIBRARY_BYTES = 16 << 20  # of libnvidia-ml.so.1 that are searched; it has 2 MiB
REPLAY_MARK = b"\0gpuready_replay\0"  # as it stands in the table of exported names
PCI_ADDRESS = re.compile(r"[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
DEVICE_NODE = re.compile(r"nvidia[A-Za-z0-9._-]{0,64}")
# "NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat ..." and "NVIDIA UNIX Open Kernel Module for x86_64  580.65.06 ..."
NVRM = re.compile(r"Kernel Module(?: for \S+)?\s+(\d+\.\d+(?:\.\d+)?)\b")
VERSION = re.compile(r"\d+\.\d+(?:\.\d+)?")
SYSTEM_LIBRARIES = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib64",
    "usr/lib",
    "usr/lib/x86_64-linux-gnu/nvidia/current",  # Debian's own packages
    "usr/lib/aarch64-linux-gnu/nvidia/current",
)


@dataclass(frozen=True, slots=True)
class Root:
    """A place where a driver's user space may lie. Only where `seen_at` is mounted can it be said that it does not."""

    path: str
    seen_at: str
    library_folders: tuple[str, ...]
    programs: tuple[str, ...] = ("usr/bin/nvidia-smi", "bin/nvidia-smi")


ROOTS = (
    Root("/usr/local/nvidia", "/usr", ("lib64", "lib"), ("bin/nvidia-smi",)),  # GKE's layout
    Root("/run/nvidia/driver", "/run/nvidia", SYSTEM_LIBRARIES),  # NVIDIA's driver container
    Root("/", "/usr", SYSTEM_LIBRARIES),
)


def look(prefix: str, node: str, nonce: str, kernel: str) -> HostReport:
    """The whole look. `prefix` is where the host's paths are visible, `kernel` the release that uname names."""
    found, looked_in = driver_files(prefix)
    return HostReport(
        node=node,
        gpus=pci_gpus(prefix),
        kernel_driver_version=kernel_driver(prefix),
        driver_files=found,
        looked_in=looked_in,
        device_nodes=device_nodes(prefix),
        kernel=kernel or Unknown("uname names no kernel release"),
        replayed=not isinstance(found, Unknown) and any(replays(prefix, files) for files in found),
        nonce=nonce,
    )


def pci_gpus(prefix: str) -> tuple[PciGpu, ...] | Unknown:
    """NVIDIA's display functions on the PCI bus; Unknown as soon as one function could not be read."""
    names = listing(prefix, "/sys/bus/pci/devices")
    if names is None:
        # a machine without PCI has /sys/bus all the same
        return () if isinstance(listing(prefix, "/sys/bus"), tuple) else Unknown("/sys of the node is not visible here")
    if isinstance(names, Unknown):
        return names
    found = []
    for address in sorted(filter(PCI_ADDRESS.fullmatch, names)):
        gpu = _pci_gpu(prefix, address)
        if isinstance(gpu, Unknown):
            return gpu
        if gpu:
            found.append(gpu)
    return tuple(found)


def _pci_gpu(prefix: str, address: str) -> PciGpu | Unknown | None:
    folder = f"/sys/bus/pci/devices/{address}"
    texts: dict[str, str] = {}
    for name in ("vendor", "class", "device", "numa_node"):
        text = read(prefix, f"{folder}/{name}")
        if isinstance(text, Unknown):
            return text
        texts[name] = (text or "").strip()
        if name == "vendor" and texts[name] != NVIDIA:
            return None  # somebody else's, or unplugged meanwhile
    try:
        bound = os.readlink(visible(prefix, f"{resolve(folder, prefix)}/driver")).rpartition("/")[2]
    except FileNotFoundError:
        bound = ""
    except OSError as error:
        return Unknown(f"{folder}/driver: {error.strerror or error}")
    return parse_pci(address, texts, bound)


def parse_pci(address: str, texts: Mapping[str, str], bound: str) -> PciGpu | Unknown | None:
    """One NVIDIA function from the texts of its files; None when it is no GPU. `bound` names the driver or is empty."""
    for name, form in (("class", "0x[0-9a-f]{6}"), ("device", "0x[0-9a-f]{4}")):
        if not re.fullmatch(form, texts[name]):
            return Unknown(f"/sys/bus/pci/devices/{address}/{name} says {shown(texts[name])}")
    if not texts["class"].startswith(DISPLAY):
        return None
    numa = texts["numa_node"]
    return PciGpu(
        address=address,
        device_id=texts["device"][2:],
        pci_class=texts["class"][2:],
        kernel_driver=re.sub(r"[^\w.-]", "?", bound)[:64] or None,
        numa_node=int(numa) if re.fullmatch(r"\d{1,4}", numa, re.ASCII) else None,
    )


def kernel_driver(prefix: str) -> str | Unknown | None:
    """Version of the loaded nvidia module; None when the kernel shows that none is loaded."""
    odd, blind = [], []
    for path, above, form in (
        ("/proc/driver/nvidia/version", "/proc/driver", NVRM),
        ("/sys/module/nvidia/version", "/sys/module", VERSION),
    ):
        text = read(prefix, path)
        if isinstance(text, str):
            match = form.search(text)
            if match:
                return match[match.re.groups]
            odd.append(f"{path} names no version: {shown(text)}")
        elif isinstance(text, Unknown):
            odd.append(text.why)
        elif not isinstance(listing(prefix, above), tuple):
            blind.append(f"{above} of the node is not visible here")
    if odd or len(blind) == 2:
        return Unknown("; ".join(odd or blind))
    return None


def device_nodes(prefix: str) -> tuple[str, ...] | Unknown:
    names = listing(prefix, "/dev")
    if names is None:
        return Unknown("/dev of the node is not visible here")
    return names if isinstance(names, Unknown) else tuple(sorted(filter(DEVICE_NODE.fullmatch, names)))


def driver_files(prefix: str) -> tuple[tuple[DriverFiles, ...] | Unknown, tuple[str, ...]]:
    """Every folder with the driver's two libraries, and the roots that could be searched."""
    found: dict[str, DriverFiles] = {}
    looked_in, hidden = [], []
    for root in ROOTS:
        seen = listing(prefix, root.seen_at)
        if seen is None:
            continue
        places = [seen] if isinstance(seen, Unknown) else list(_places(prefix, root))
        reasons = [place.why for place in places if isinstance(place, Unknown)]
        for place in places:
            if isinstance(place, DriverFiles):
                found.setdefault(place.lib_dir, place)
        hidden += reasons[:1]  # the others say the same of other folders
        looked_in += [] if reasons else [root.path]
    if found:
        return tuple(found.values()), tuple(looked_in)
    if hidden:
        return Unknown("; ".join(dict.fromkeys(hidden))), tuple(looked_in)
    return () if looked_in else Unknown("/usr of the node is not visible here"), tuple(looked_in)


def _places(prefix: str, root: Root) -> Iterator[DriverFiles | Unknown]:
    smi = next((path for name in root.programs if _program(prefix, path := join(root.path, name), root)), None)
    for name in root.library_folders:
        try:
            folder = resolve(join(root.path, name), prefix, root.path)
            management, cuda = (resolve(f"{folder}/{library}", prefix, root.path) for library in LIBRARIES)
            if not (_file(prefix, management) and _file(prefix, cuda)):
                continue
        except OSError as error:
            if reason := _hidden(prefix, error, root):
                yield Unknown(reason)
            continue
        if not folder.isprintable():
            yield Unknown(f"a driver lies in a folder whose name cannot be printed: {shown(folder)}")
            continue
        version = management.rpartition("/libnvidia-ml.so.")[2]
        known_version = version if VERSION.fullmatch(version) else None
        yield DriverFiles(root=root.path, lib_dir=folder, version=known_version, nvidia_smi=smi)


def _hidden(prefix: str, error: OSError, root: Root) -> str:
    """Why a path could not be followed to its end; empty when the end was seen and is not there."""
    if error.filename is None:
        return ascii(str(error))[1:-1]
    path = "/" + str(error.filename).removeprefix(prefix.rstrip("/")).lstrip("/")
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"{shown(path)}: {error.strerror}"
    if PurePosixPath(path).is_relative_to(root.seen_at):
        return ""
    return f"a link of the driver leads to {shown(path)}, which is not visible here"


def _program(prefix: str, path: str, root: Root) -> bool:
    try:
        return _file(prefix, resolve(path, prefix, root.path))
    except OSError:
        return False


def _file(prefix: str, real: str) -> bool:
    """Is it a file with something in it? Container runtimes leave empty ones behind."""
    info = os.lstat(visible(prefix, real))
    return stat.S_ISREG(info.st_mode) and info.st_size > 0


def replays(prefix: str, files: DriverFiles) -> bool:
    """Does the management library say of itself that it replays a capture? Read, never loaded."""
    try:
        path = visible(prefix, resolve(f"{files.lib_dir}/libnvidia-ml.so.1", prefix, files.root))
        with open(path, "rb", opener=_without_waiting) as file:
            return REPLAY_MARK in file.read(LIBRARY_BYTES)
    except OSError:
        return False


def listing(prefix: str, path: str) -> tuple[str, ...] | Unknown | None:
    """Names in a folder of the host; None when it is not there, or not visible here."""
    try:
        with os.scandir(visible(prefix, resolve(path, prefix))) as entries:
            names = tuple(entry.name for entry in islice(entries, MOST_NAMES + 1))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Unknown(f"{path}: {error.strerror or error}")
    return names if len(names) <= MOST_NAMES else Unknown(f"{path} has more than {MOST_NAMES} entries")


def read(prefix: str, path: str) -> str | Unknown | None:
    """The first 4 KiB of a file of the host; None when it is not there, or not visible here."""
    try:
        real = visible(prefix, resolve(path, prefix))
        with open(real, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return Unknown(f"{path} is no regular file")
            return file.read(LINE).decode("ascii", "replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Unknown(f"{path}: {error.strerror or error}")


def join(root: str, path: str) -> str:
    return f"{root.rstrip('/')}/{path}"


def shown(text: str) -> str:
    """A short, printable piece of what a file or a link said."""
    return ascii(text.strip()[:80])


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
