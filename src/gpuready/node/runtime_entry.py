"""Puts a handler's entry into the configuration of this node's runtime, or takes ours out, and has it read.

The runtime is never left broken: each file is replaced whole, the runtime's own program must read all of them as
before but for the handler, and when the runtime does not come back the files are as they were and it is started again.
What is there already is not written, so that a run that was cut off anywhere is finished by the next.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from gpuready.model.errors import UserError
from gpuready.model.facts.runtime import Entered, Written
from gpuready.node import files
from gpuready.node.driver_files import resolve, visible
from gpuready.node.runtime_daemon import Daemon, find, restart, start_again
from gpuready.node.runtime_read import LARGEST
from gpuready.node.runtime_write import (
    CONFIG,
    FOLDER,
    CannotWrite,
    Change,
    Wanted,
    handlers_of,
    put_in,
    rest_of,
    take_out,
)

RUNTIME = re.compile(r"(containerd|cri-o|docker)://v?(\d{1,4})\.(\d{1,4})[^/]*")
MOST_FILES = 200
CLOCK_SLACK = 2.0  # seconds between the kernel's count of a process's start and a file's time


class NotInForce(UserError):
    """The runtime did not take the change; everything is as it was."""


def enter(prefix: str, runtime: str, handler: str, binaries: tuple[str, ...], node: str) -> Entered:
    """`runtime`: as the Node says it, containerd://2.2.9. `binaries`: host paths, the first that is there is taken;
    none: what is ours is taken out. Raises UserError; then nothing is changed, or it says what is."""
    name, version = _runtime(runtime)
    folder = visible(prefix, CONFIG[name].rpartition("/")[0])
    daemon = find(name, folder)
    before = _read(prefix, folder)
    left: tuple[str, ...] = ()
    if binaries:
        wanted = Wanted(handler=handler, binary=_present(daemon, binaries, node))
        changes = put_in(name, version, before, wanted)
    else:
        changes, left = take_out(name, before, handler)
    checked = _write_checked(prefix, daemon, changes, handler, bool(binaries))
    away = None
    if changes or _unread(prefix, name, folder, daemon):
        away = _restart(prefix, daemon, folder, changes)
    written = tuple(Written(path=c.path, before=_sum(c.before), after=_sum(c.after)) for c in changes)
    return Entered(node=node, handler=handler, files=written, left=left, away=away, checked=checked)


def _runtime(text: str) -> tuple[str, tuple[int, int]]:
    match = RUNTIME.fullmatch(text)
    if not match:
        raise UserError(f"the runtime {text[:80]!r} is not known", "containerd, cri-o and docker are")
    return match[1], (int(match[2]), int(match[3]))


def _present(daemon: Daemon, binaries: Iterable[str], node: str) -> str:
    """The first that the runtime could execute."""
    for binary in binaries:
        try:
            real = os.lstat(visible(daemon.root, resolve(binary, daemon.root)))
        except OSError:
            continue
        if stat.S_ISREG(real.st_mode) and real.st_mode & 0o111:
            return binary
    raise UserError(
        f"node/{node} has none of {', '.join(binaries)}",
        "install the NVIDIA container toolkit there; or let gpuready's own stack (gpuready up) hand out the GPUs: its "
        "pods need no runtimeClassName",
    )


def _read(prefix: str, folder: Path) -> dict[str, str]:
    """Texts of the folder and of the folders in it, by host path. One that is too large or no text is left out."""
    found: dict[str, str] = {}
    for path in sorted([*folder.glob("*"), *folder.glob("*/*")])[:MOST_FILES]:
        if path.suffix in (".toml", ".conf", ".json") and path.is_file():
            data = path.read_bytes()
            if len(data) <= LARGEST:
                found["/" + str(path.relative_to(visible(prefix, "/")))] = _decoded(data, path)
    return found


def _decoded(data: bytes, path: Path) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise CannotWrite(f"{path.name} is no UTF-8 text", "mend it by hand first") from None


def _write_checked(prefix: str, daemon: Daemon, changes: tuple[Change, ...], handler: str, inside: bool) -> bool:
    """Writes; takes it back where the runtime's own program does not read the same as before but for the handler.
    Returns whether that program could be asked."""
    if not changes:
        return False
    was = daemon.dump()
    try:
        _write(prefix, changes)
        now = daemon.dump()
        if was is not None:
            _compare(was, now, handler, inside, daemon.runtime)
    except BaseException:
        _write(prefix, _reverse(changes))
        raise
    return was is not None


def _compare(was: dict[str, object], now: dict[str, object] | None, handler: str, inside: bool, runtime: str) -> None:
    if now is None:
        raise NotInForce(f"{runtime} does not read its files with the change; they are as before", "add it by hand")
    if inside and handler not in handlers_of(now):
        raise NotInForce(f"{runtime} does not find the handler in its files; they are as before", "add it by hand")
    if rest_of(was, handler) != rest_of(now, handler):
        raise NotInForce(f"{runtime} would read other settings differently; its files are as before", "add it by hand")


def _reverse(changes: tuple[Change, ...]) -> tuple[Change, ...]:
    return tuple(msgspec.structs.replace(c, before=c.after, after=c.before) for c in reversed(changes))


def _write(prefix: str, changes: Iterable[Change]) -> None:
    for change in changes:
        path = visible(prefix, change.path)
        if path.is_symlink():
            raise CannotWrite(f"{change.path} is a symlink: somebody keeps it elsewhere", "change it there")
        if change.after is None:
            path.unlink(missing_ok=True)
        else:
            mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o644
            files.replace(path, change.after, mode)
        _sync(path.parent)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _unread(prefix: str, name: str, folder: Path, daemon: Daemon) -> bool:
    """Whether a file came or went since the runtime started: a change of ours, cut off before the restart, does."""
    own = visible(prefix, FOLDER.get(name, str(folder)))
    newest = max(place.stat().st_mtime for place in (folder, own) if place.is_dir())
    return newest > daemon.started - CLOCK_SLACK


def _restart(prefix: str, daemon: Daemon, folder: Path, changes: tuple[Change, ...]) -> float:
    away = restart(daemon, folder)
    if away is not None:
        return away
    _write(prefix, _reverse(changes))
    runs = start_again(daemon, folder)
    state = "runs again" if runs else "DOES NOT RUN: start it on the node (systemctl start)"
    raise NotInForce(
        f"{daemon.runtime} did not come back with the change; its files are as before and it {state}",
        "journalctl on the node says why",
    )


def _sum(text: str | None) -> str:
    return hashlib.sha256(text.encode()).hexdigest() if text is not None else ""
