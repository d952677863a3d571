"""Puts a new file in its place: whole or not at all, and never over another."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from gpuready.adapters.kube_words import clean
from gpuready.model.errors import UserError

# file systems without hard links: FAT, some FUSE and network mounts
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
ADVICE = {
    errno.EEXIST: "it is not overwritten: name another file, or move this one away",
    errno.ENOENT: "make its directory first, or name another file",
    errno.ENOTDIR: "name a file in a directory that there is",
    errno.EACCES: "write it where you may, or change the directory's permissions",
    errno.EROFS: "name a file on a file system that can be written",
    errno.ENOSPC: "the disk is full: make room, or name a file elsewhere",
    errno.EDQUOT: "your quota is used up: make room, or name a file elsewhere",
}


def write_new(path: Path, text: str) -> None:
    """A new file of mode 0644 less the umask. Raises UserError where there is one, or where it cannot be written."""
    beside = path.parent / f".{path.name[:100]}.{secrets.token_hex(4)}"
    try:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        try:
            _write(beside, text)
            _name(beside, path, text)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "name another file")
        raise UserError(f"{clean(str(path), 300)} cannot be written: {error.strerror or error}", advice) from error
    except ValueError:  # a NUL in the path, or a name that is none
        raise UserError(f"{clean(str(path), 300)} is not a path", "name a file") from None


def _name(beside: Path, path: Path, text: str) -> None:
    """A hard link, unlike a rename, fails where the name is taken."""
    try:
        os.link(beside, path)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _write(path, text)


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(fd)  # a full disk of a server may show only now
    except BaseException:
        path.unlink(missing_ok=True)
        raise
