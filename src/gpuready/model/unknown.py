"""Absence is a value: what could not be read carries the reason, and is neither true nor false."""

from __future__ import annotations

from typing import NoReturn, TypeVar

import msgspec

T = TypeVar("T")


class Unknown(msgspec.Struct, frozen=True, tag="unknown"):
    """A fact that could not be had. `why` says what stood in the way; `ask` names the reading that would decide."""

    why: str
    ask: str = ""

    def __bool__(self) -> NoReturn:
        raise TouchedUnknown(self)

    def __str__(self) -> str:
        return "?"


class TouchedUnknown(Exception):
    """A rule or a composer used an Unknown as if it were a value; the engine turns it into `undetermined`."""

    def __init__(self, unknown: Unknown) -> None:
        super().__init__(unknown.why)
        self.unknown = unknown


def known(value: T | Unknown) -> T:
    """The value itself; raises TouchedUnknown when there is none."""
    if isinstance(value, Unknown):
        raise TouchedUnknown(value)
    return value
