"""Which family of components a container, a systemd unit or an event source belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import translate
from functools import cache, lru_cache

import msgspec

from gpuready.knowledge._files import load


class Speakers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    families: Mapping[str, tuple[str, ...]]


@lru_cache(1 << 16)
def family(name: str) -> str:
    """nvidia-driver-ctr -> driver; "" for one that nobody here knows (a workload, say)."""
    names, known = _names()
    found = known.match(name.lower())
    return names[found.lastindex - 1] if found and found.lastindex else ""


@cache
def _names() -> tuple[tuple[str, ...], re.Pattern[str]]:
    """The families, and one pattern with a group for each: clusters have pods by the ten thousand."""
    families = _data().families
    groups = ("|".join(translate(pattern) for pattern in patterns) for patterns in families.values())
    return tuple(families), re.compile("|".join(f"({group})" for group in groups))


@cache
def families() -> frozenset[str]:
    return frozenset(_data().families) | {"workload"}


@cache
def _data() -> Speakers:
    return load("speakers.yaml", Speakers)
