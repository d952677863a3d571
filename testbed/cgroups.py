"""One cgroup per node in every hierarchy (v1) or in the one there is (v2), and their removal."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from testbed.errors import TestbedError

ROOT = Path("/sys/fs/cgroup")


def hierarchies() -> list[Path]:
    """Where cgroups are made: the unified hierarchy, or every version 1 controller's and the named ones."""
    if (ROOT / "cgroup.controllers").exists():
        return [ROOT]
    return [path for path in sorted(ROOT.iterdir()) if (path / "cgroup.procs").exists() and not path.is_symlink()]


def create(name: str) -> None:
    """Make the cgroup; on version 2 with every controller that the machine hands down, as the kubelet wants it."""
    for hierarchy in hierarchies():
        (hierarchy / name).mkdir(exist_ok=True)
    if (ROOT / "cgroup.controllers").exists():
        for folder in (ROOT, ROOT / name):
            for controller in (folder / "cgroup.controllers").read_text().split():
                with suppress(OSError):  # one that may not be handed down; the kubelet says which it lacks
                    (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def _below(folder: Path) -> Iterator[Path]:
    """It and all cgroups below it; those that are removed while we look are passed over, which globs are not."""
    return (Path(path) for path, _, _ in os.walk(folder))


def members(name: str) -> set[int]:
    """Pids in the cgroup and below, in any hierarchy."""
    pids: set[int] = set()
    for hierarchy in hierarchies():
        for folder in _below(hierarchy / name):
            try:
                pids.update(int(line) for line in (folder / "cgroup.procs").read_text().split())
            except (FileNotFoundError, OSError):
                continue  # removed while we looked
    return pids


def pods(name: str) -> set[str]:
    """UIDs of the pods that have a cgroup below a node's."""
    found = (path.name for hierarchy in hierarchies() for path in _below(hierarchy / name / "kubepods"))
    return {folder.removeprefix("pod") for folder in found if folder.startswith("pod")}


def pod_members(name: str, uid: str) -> set[int]:
    """Pids of one pod's containers below a node's cgroup (the kubelet's cgroupfs layout: .../podUID/...)."""
    found: set[int] = set()
    for hierarchy in hierarchies():
        for pod in _below(hierarchy / name / "kubepods"):
            if pod.name == f"pod{uid}":
                found |= members(str(pod.relative_to(hierarchy)))
    return found


def remove(name: str, seconds: float = 10.0) -> None:
    """Remove the cgroup and all below it, in every hierarchy; its processes are dead. TestbedError after `seconds`."""
    deadline = time.monotonic() + seconds
    while left := [path for hierarchy in hierarchies() if (path := hierarchy / name).exists()]:
        for top in left:
            for folder, _, _ in os.walk(top, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    continue  # a process in it is still exiting: again below
        if time.monotonic() > deadline:
            raise TestbedError(f"cgroup {left[0]} cannot be removed; its processes: {sorted(members(name))}")
        time.sleep(0.02)
