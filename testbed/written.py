"""What has been written on a node's root since it was made, and putting it back to an earlier state.

The kubelet's, containerd's and CNI's own working folders are left out, but for the kubelet's plugin folders.
"""

import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import TestbedError

LARGEST = 4 << 20  # bytes of one file that are kept; of a larger one only size and time
KUBELET = ("device-plugins", "plugins", "plugins_registry")
RUNTIME = ("run/containerd", "run/netns", "run/runc", "run/testbed-sysctl", "run/flannel", "run/lock")


@dataclass(frozen=True)
class Entry:
    """One path: kind (folder, file, large, link, socket, device, gone), mode, and a file's bytes or a link's target."""

    kind: str
    mode: int = 0
    content: bytes = b""


def _entry(path: Path) -> Entry:
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return Entry("link", content=os.readlink(path).encode())
    if stat.S_ISDIR(status.st_mode):
        return Entry("folder", mode)
    if stat.S_ISSOCK(status.st_mode):
        return Entry("socket", mode)
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
        return Entry("gone")  # an overlay's mark for a deleted file of the layer below
    if not stat.S_ISREG(status.st_mode):  # below /run/nvidia/driver/dev, say: reading /dev/zero has no end
        return Entry("device", mode, str(status.st_rdev).encode())
    if status.st_size > LARGEST:
        return Entry("large", mode, f"{status.st_size} {status.st_mtime_ns}".encode())
    return Entry("file", mode, path.read_bytes())


def _walk(top: Path, base: Path, skip: tuple[str, ...] = ()) -> Iterator[tuple[str, Entry]]:
    """Everything below `top`, by its path relative to `base`."""
    for folder, folders, files in os.walk(top):
        here = Path(folder)
        relative = str(here.relative_to(base))
        folders[:] = [name for name in folders if f"{relative}/{name}".removeprefix("./") not in skip]
        for name in [*folders, *files]:
            try:
                yield f"{relative}/{name}".removeprefix("./"), _entry(here / name)
            except FileNotFoundError:
                continue  # gone while we looked


def written(root: Path, upper: Path) -> dict[str, Entry]:
    """Every path written on a node: its overlay's upper folder, /run, the kubelet's plugin folders. No leading /."""
    found = dict(
        _walk(
            upper, upper, skip=("var/lib/kubelet", "var/lib/containerd", "var/lib/cni", "var/log", "run", "dev", "tmp")
        )
    )
    found |= dict(_walk(root / "run", root, skip=RUNTIME))
    for name in KUBELET:
        found |= dict(_walk(root / "var/lib/kubelet" / name, root))
    return found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def put_back(root: Path, now: Mapping[str, Entry], before: Mapping[str, Entry]) -> list[str]:
    """Make a node's files those of `before`; returns the paths changed. TestbedError for what cannot be made again."""
    changed = sorted(path for path in {*now, *before} if now.get(path) != before.get(path))
    for path in reversed(changed):  # what is below a folder goes first
        entry = before.get(path)
        if entry is None or entry.kind != "folder":
            _remove(root / path)
        if entry is None and now[path].kind == "gone" and (Path("/") / path).exists():
            shutil.copy2(Path("/") / path, root / path, follow_symlinks=False)
    for path in changed:
        entry = before.get(path)
        if entry is None or entry.kind in ("socket", "device", "gone"):
            continue
        target = root / path
        if entry.kind == "folder":
            target.mkdir(parents=True, exist_ok=True)
        elif entry.kind == "link":
            target.symlink_to(entry.content.decode())
        elif entry.kind == "file":
            target.write_bytes(entry.content)
        else:
            raise TestbedError(
                f"{target} was changed and is too large to have been kept; make the node anew: Node.power_off, power_on"
            )
        if entry.kind != "link":
            target.chmod(entry.mode)
    return changed
