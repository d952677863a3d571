"""The driver's libraries on the node, seen through the place where the host's paths are visible in this container."""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from gpuready.model.unknown import Unknown
from gpuready.node.injection import WANTED, DriverFiles

MOST_LINKS = 40  # as the kernel follows
MOST_NAMES = 100_000  # entries of the library directory; /usr/lib/x86_64-linux-gnu of a desktop has some 5,000


def visible(prefix: str, host_path: str) -> Path:
    """Where a host path is seen here: /usr/lib -> /host/usr/lib."""
    return Path(f"{prefix.rstrip('/')}/{host_path.lstrip('/')}")


def resolve(host_path: str, prefix: str, root: str = "/") -> str:
    """The real host path, each symlink followed as the host would: an absolute target counts from the driver root.

    Raises OSError when something on the way is not there, or not visible here, and on loops.
    """
    todo = list(PurePosixPath(host_path).parts[1:])
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop(0)
        if part == "..":
            done = done[:-1]
            continue
        here = "/" + "/".join([*done, part])
        if not stat.S_ISLNK(os.lstat(visible(prefix, here)).st_mode):
            done.append(part)
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(f"{host_path}: too many symlinks")
        target = PurePosixPath(os.readlink(visible(prefix, here)))
        if target.is_absolute():
            inside = PurePosixPath(here).is_relative_to(root)
            done, target = [], PurePosixPath(root if inside else "/") / target.relative_to("/")
        todo = [*(part for part in target.parts if part != "/"), *todo]
    return "/" + "/".join(done)


def read(lib_dir: str, prefix: str, root: str = "/", nvidia_smi: str = "") -> DriverFiles | Unknown:
    try:
        folder = resolve(lib_dir, prefix, root)
        names = os.listdir(visible(prefix, folder))[:MOST_NAMES]
    except OSError as error:
        return Unknown(f"cannot list the driver's libraries in {lib_dir} (seen at {prefix}): {error.strerror or error}")
    libraries: dict[str, str] = {}
    unresolved: dict[str, str] = {}
    for name in sorted(names):
        if WANTED.fullmatch(name):
            _regular(f"{folder}/{name}", prefix, root, name, libraries, unresolved)
    smi: dict[str, str] = {}
    if nvidia_smi:
        _regular(nvidia_smi, prefix, root, nvidia_smi, smi, unresolved)
    return DriverFiles(libraries=libraries, nvidia_smi=smi.get(nvidia_smi, ""), unresolved=unresolved)


def _regular(path: str, prefix: str, root: str, name: str, found: dict[str, str], unresolved: dict[str, str]) -> None:
    try:
        real = resolve(path, prefix, root)
        if not stat.S_ISREG(os.lstat(visible(prefix, real)).st_mode):
            raise OSError(f"{real} is no regular file")
    except OSError as error:
        unresolved[name] = f"{error.filename or path}: {error.strerror or error}"
        return
    found[name] = real


def device_nodes(folder: Path) -> frozenset[str]:
    """Names of the NVIDIA device nodes in this /dev."""
    try:
        return frozenset(name for name in os.listdir(folder) if name.startswith("nvidia"))
    except OSError:
        return frozenset()
