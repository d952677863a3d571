"""Which family of components a container, a systemd unit or an event source belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache

import msgspec

from gpuready.knowledge._files import load


class Speakers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    families: Mapping[str, tuple[str, ...]]


@cache
def family(name: str) -> str:
    """nvidia-driver-ctr -> driver; "" for one that nobody here knows (a workload, say)."""
    name = name.lower()
    for one, names in _data().families.items():
        if any(fnmatchcase(name, pattern) for pattern in names):
            return one
    return ""


@cache
def families() -> frozenset[str]:
    return frozenset(_data().families) | {"workload"}


@cache
def _data() -> Speakers:
    return load("speakers.yaml", Speakers)
