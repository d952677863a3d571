"""What a node has mounted and in /dev for its GPUs: a replayed capture, or the machine's own."""

import os
import stat
from pathlib import Path
from typing import Any

from testbed import replay
from testbed.errors import TestbedError
from testbed.settings import DRIVER_ROOT, NodeGpus, Settings

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
REPLAYED = {
    "sys-bus-pci": "/sys/bus/pci/devices",
    "proc-driver": "/proc/driver",
}  # folder of a replay: where a node has it


def _installed(folder: Path, target: str) -> dict[str, list[Any]]:
    """A driver's files among the system's own; links stay links, the rest is bound, so that a replay can change it."""
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    links = [[os.readlink(entry), f"{target}/{entry.name}"] for entry in entries if entry.is_symlink()]
    return {"links": links, "binds": [[str(e), f"{target}/{e.name}", True] for e in entries if not e.is_symlink()]}


def driver_mounts(source: Path, root: str) -> dict[str, list[Any]]:
    """Mounts that put a driver's user space (bin/, lib64/) at a driver root, in the layout usual there."""
    if root == "/":
        libraries, programs = _installed(source / "lib64", LIBRARIES), _installed(source / "bin", "/usr/bin")
        return {key: libraries[key] + programs[key] for key in ("links", "binds")}
    if root == "/run/nvidia/driver":  # a driver container's root file system
        places = {"lib64": root + LIBRARIES, "bin": root + "/usr/bin"}
        binds: list[Any] = [[str(source / name), to, True] for name, to in places.items() if (source / name).is_dir()]
        return {"links": [], "binds": [*binds, ["/dev", f"{root}/dev", False]]}
    return {"links": [], "binds": [[str(source), root, True]]}


def machine_devices() -> list[tuple[str, int, int]]:
    """The machine's own NVIDIA device nodes, as (name under /dev, major, minor)."""
    found = []
    for path in sorted([*Path("/dev").glob("nvidia*"), *Path("/dev").glob("nvidia-caps*/*")]):
        status = path.stat()
        if stat.S_ISCHR(status.st_mode):
            found.append((str(path.relative_to("/dev")), os.major(status.st_rdev), os.minor(status.st_rdev)))
    return found


def _foreign() -> list[str]:
    """Folders of the machine that would show a node the machine's GPUs, when it has any."""
    if not Path("/proc/driver/nvidia").exists():
        return []
    return [path for path in (DRIVER_ROOT, *REPLAYED.values()) if Path(path).is_dir()]


def _replayed(capture: Path, into: Path, node: str, driver_root: str) -> dict[str, Any]:
    try:
        replayed = replay.materialise(capture, into, node=node)
    except (replay.ReplayError, OSError) as error:
        raise TestbedError(f"{node}: cannot replay {capture}: {error}") from error
    mounts = driver_mounts(into / "driver", driver_root)
    binds = [[str(into / name), place, True] for name, place in REPLAYED.items() if (into / name).is_dir()]
    return {
        "hide": _foreign(),
        "devices": [tuple(device) for device in replayed.device_nodes],
        "links": mounts["links"],
        "binds": [*mounts["binds"], *binds],
        "merges": [[str(into / "sys-module"), "/sys/module"]],
    }


def _of_machine(gpus: NodeGpus) -> dict[str, Any]:
    devices = machine_devices()
    if not devices:
        raise TestbedError("this machine has no /dev/nvidia*; replay a capture instead: --replay node1=CAPTURE")
    mounts: dict[str, Any] = {"hide": [], "devices": devices, "links": [], "binds": [], "merges": []}
    if gpus.driver_root != gpus.machine_driver:
        mounts.update(driver_mounts(Path(gpus.machine_driver), gpus.driver_root), hide=[gpus.machine_driver])
    return mounts


def node_mounts(settings: Settings, node: str) -> dict[str, Any]:
    """What init.py is to do for a node: devices and links to make; folders to hide, bind and merge. TestbedError."""
    gpus = settings.gpus.get(node, NodeGpus())
    if gpus.capture is not None:
        mounts = _replayed(Path(gpus.capture), settings.replay(node), node, gpus.driver_root)
    elif gpus.machine:
        mounts = _of_machine(gpus)
    else:
        mounts = {"hide": _foreign(), "devices": [], "links": [], "binds": [], "merges": []}
    mounts["binds"].append([str(settings.binaries / "cni"), "/opt/cni/bin", True])
    return mounts
