"""One check over many nodes: what is found on one is not hidden by another that could not be looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from gpuready.model.rule import Finding
from gpuready.model.unknown import TouchedUnknown, Unknown

T = TypeVar("T")
NAMED = 3  # so many reasons are told in full


def each(items: Iterable[T], find: Callable[[T], Iterator[Finding]]) -> Iterator[Finding]:
    """The findings of every item; afterwards, if some could not be judged, one Unknown that says why."""
    missing: list[Unknown] = []
    for item in items:
        try:
            yield from find(item)
        except TouchedUnknown as touched:
            missing.append(touched.unknown)
    if missing:
        raise TouchedUnknown(_together(missing))


def _together(missing: list[Unknown]) -> Unknown:
    reasons = list(dict.fromkeys(u.why for u in missing))
    more = f"; and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
    return Unknown("; ".join(reasons[:NAMED]) + more, ask=next((u.ask for u in missing if u.ask), ""))
