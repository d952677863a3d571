"""Absence is a value: what could not be read carries the reason, and is neither true nor false."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
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


class Partial(tuple[T, ...]):
    """A collection of which only a part was read. Its members are known; its end, its length and what is not in it
    are not: whoever goes so far has touched an Unknown."""

    rest: Unknown

    @classmethod
    def of(cls, items: Iterable[T], rest: Unknown) -> Partial[T]:
        made = cls(items)
        made.rest = rest
        return made

    def __iter__(self) -> Iterator[T]:
        yield from super().__iter__()
        raise TouchedUnknown(self.rest)

    def __len__(self) -> NoReturn:
        raise TouchedUnknown(self.rest)

    def __contains__(self, item: object) -> bool:
        return super().__contains__(item) or bool(self.rest)

    def __bool__(self) -> bool:
        return tuple.__len__(self) > 0 or bool(self.rest)


def known(value: T | Unknown) -> T:
    """The value itself; raises TouchedUnknown when there is none."""
    if isinstance(value, Unknown):
        raise TouchedUnknown(value)
    return value


def members(collection: tuple[T, ...] | Unknown) -> tuple[T, ...]:
    """Those that were read. A rule that goes on from them ends with `complete`."""
    known(collection)
    return tuple(tuple.__iter__(collection))  # type: ignore[arg-type]


def complete(collection: tuple[T, ...] | Unknown) -> None:
    """Raises TouchedUnknown unless all of it was read: from here on, what is not there counts."""
    if isinstance(collection, Partial):
        raise TouchedUnknown(collection.rest)
