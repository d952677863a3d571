"""What a node has mounted and in /dev for its GPUs: a replayed capture, or the machine's own."""

import os
import stat
from pathlib import Path
from typing import Any

from testbed.errors import TestbedError
from testbed.settings import DRIVER_ROOT, NodeGpus, Settings

LIBRARIES = "/usr/lib/x86_64-linux-gnu"


def _driver(source: Path, target: str) -> dict[str, list[Any]]:
    """Mounts that put a driver's user space (bin/, lib64/) at a driver root, in the layout usual there."""
    if target == "/":  # installed on the node: files among the system's own
        copies = [[str(source / "lib64"), LIBRARIES], [str(source / "bin"), "/usr/bin"]]
        return {"binds": [], "copies": [c for c in copies if Path(c[0]).is_dir()]}
    if target == "/run/nvidia/driver":  # a driver container's root file system
        binds = [[str(source / "lib64"), target + LIBRARIES, True], [str(source / "bin"), target + "/usr/bin", True]]
        return {"binds": [b for b in binds if Path(b[0]).is_dir()], "copies": []}
    return {"binds": [[str(source), target, True]], "copies": []}


def _machine_devices() -> list[tuple[str, int, int]]:
    """The machine's own NVIDIA device nodes, as (name under /dev, major, minor)."""
    found = []
    for path in sorted([*Path("/dev").glob("nvidia*"), *Path("/dev").glob("nvidia-caps*/*")]):
        status = path.stat()
        if stat.S_ISCHR(status.st_mode):
            found.append((str(path.relative_to("/dev")), os.major(status.st_rdev), os.minor(status.st_rdev)))
    return found


def _replayed(settings: Settings, node: str, gpus: NodeGpus) -> dict[str, Any]:
    from testbed import replay

    into = settings.state / "replay" / node
    replayed = replay.materialise(Path(str(gpus.capture)), into)
    driver = _driver(into / "driver", gpus.driver_root)
    places = {"sys-bus-pci": "/sys/bus/pci/devices", "proc-driver": "/proc/driver"}
    binds = [[str(into / name), place, True] for name, place in places.items() if (into / name).is_dir()]
    devices = [tuple(device) for device in replayed.device_nodes]
    return {"hide": _foreign(), "devices": devices, "binds": [*driver["binds"], *binds], "copies": driver["copies"]}


def _of_machine(gpus: NodeGpus) -> dict[str, Any]:
    devices = _machine_devices()
    if not devices:
        raise TestbedError("this machine has no /dev/nvidia*; replay a capture instead: --replay node1=CAPTURE")
    mounts: dict[str, Any] = {"hide": [], "devices": devices, "binds": [], "copies": []}
    if gpus.driver_root != gpus.machine_driver:
        mounts.update(_driver(Path(gpus.machine_driver), gpus.driver_root), hide=[gpus.machine_driver])
    return mounts


def _foreign() -> list[str]:
    """Folders of the machine that would show a node the machine's GPUs, when it has any."""
    return [p for p in (DRIVER_ROOT, "/proc/driver", "/sys/bus/pci/devices") if Path("/proc/driver/nvidia").exists() and Path(p).is_dir()]


def node_mounts(settings: Settings, node: str) -> dict[str, Any]:
    """What init.py is to do for a node: devices to make, folders to hide, to bind and to copy."""
    gpus = settings.gpus.get(node, NodeGpus())
    if gpus.capture is not None:
        mounts = _replayed(settings, node, gpus)
    elif gpus.machine:
        mounts = _of_machine(gpus)
    else:
        mounts = {"hide": _foreign(), "devices": [], "binds": [], "copies": []}
    mounts["binds"].append([str(settings.binaries / "cni"), "/opt/cni/bin", True])
    return mounts
