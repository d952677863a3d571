"""What of its node a process can see: which host paths lie whole beneath which folder of its own.

Absence is said only of what was seen. A path that is not mounted here, or that a link leads out of what is, is Unknown.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from itertools import islice
from pathlib import PurePosixPath
from typing import NamedTuple

from gpuready.model.unknown import Unknown
from gpuready.node.driver_files import resolve, visible
from gpuready.node.look import shown

MOST_NAMES = 100_000  # entries of one folder


class Sight(NamedTuple):
    """`seen`: (host path, prefix): all that is below this host path is visible here as prefix + path. The first counts.

    `ask`: what would see more.
    """

    seen: tuple[tuple[str, str], ...]
    ask: str = ""

    @classmethod
    def below(cls, prefix: str, paths: Iterable[str], ask: str = "") -> Sight:
        return cls(tuple((path, prefix) for path in paths), ask)

    def prefix(self, path: str) -> str | None:
        """Beneath which the host path is visible; None: it is not."""
        return next((prefix for above, prefix in self.seen if PurePosixPath(path).is_relative_to(above)), None)

    def read(self, path: str, limit: int) -> str | Unknown | None:
        """The text of a regular file of the host, undecodable bytes replaced; None when it is not there."""
        try:
            with open(self._real(path), "rb", opener=_without_waiting) as file:
                info = os.fstat(file.fileno())
                if not stat.S_ISREG(info.st_mode):
                    return Unknown(f"{path} is no regular file")
                data = file.read(limit + 1)
        except OSError as error:
            return self._why(path, error)
        return data.decode("utf-8", "replace") if len(data) <= limit else self._too_large(path, limit)

    def names(self, path: str) -> tuple[str, ...] | Unknown | None:
        """The entries of a folder of the host; None when it is not there."""
        try:
            with os.scandir(self._real(path)) as entries:
                names = tuple(entry.name for entry in islice(entries, MOST_NAMES + 1))
        except OSError as error:
            return self._why(path, error)
        return names if len(names) <= MOST_NAMES else Unknown(f"{path} has more than {MOST_NAMES} entries")

    def there(self, path: str) -> bool | Unknown:
        """Whether the host has anything of that name, links followed."""
        try:
            os.lstat(self._real(path))
        except OSError as error:
            why = self._why(path, error)
            return False if why is None else why
        return True

    def target(self, path: str) -> str | Unknown | None:
        """The host path that links lead to; None when it is not there."""
        try:
            prefix = self._prefix(path)
            real = resolve(path, prefix)
            os.lstat(visible(prefix, real))
        except OSError as error:
            return self._why(path, error)
        return real

    def _real(self, path: str) -> str:
        prefix = self._prefix(path)
        return str(visible(prefix, resolve(path, prefix)))

    def _prefix(self, path: str) -> str:
        prefix = self.prefix(path)
        if prefix is None:
            raise NotSeen(path)
        return prefix

    def _why(self, path: str, error: OSError) -> Unknown | None:
        """None where the end was seen and is not there."""
        if isinstance(error, NotSeen):
            return Unknown(f"{shown(path)[1:-1]} of the node is not visible to the reader", self.ask)
        if not isinstance(error, FileNotFoundError | NotADirectoryError):
            return Unknown(f"{shown(path)[1:-1]}: {error.strerror or shown(str(error))}", self.ask)
        prefix = self.prefix(path) or ""
        end = "/" + str(error.filename or path).removeprefix(prefix.rstrip("/")).lstrip("/")
        if self.prefix(end) == prefix:
            return None
        return Unknown(f"{shown(path)[1:-1]} leads to {shown(end)[1:-1]}, which the reader cannot see", self.ask)

    def _too_large(self, path: str, limit: int) -> Unknown:
        return Unknown(f"{path} has more than {limit} bytes")


class NotSeen(OSError):
    """A host path that is not mounted here."""


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
