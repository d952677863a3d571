"""Which fields a release of the GPU Operator needs its CRDs to know."""

from __future__ import annotations

import re
from functools import cache

import msgspec

from gpuready.knowledge._files import load

Release = tuple[int, int, int]


class CrdFields(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    source: str
    releases: tuple[str, ...]
    since: dict[str, dict[str, str]]  # CRD -> field -> release


def release(text: str) -> Release | None:
    """v25.3.4, 25.3.4-ubi8 -> (25, 3, 4); None when it is no release."""
    match = re.match(r"^v?(\d{1,3})\.(\d{1,3})\.(\d{1,3})(?!\d)", text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def needed(crd: str, version: Release) -> frozenset[str]:
    """Fields that its schema has in this release for certain: none for a CRD, or a later release, that was not read."""
    if version > (release(_data().releases[-1]) or ()):
        return frozenset()
    return frozenset(field for field, since in _data().since.get(crd, {}).items() if (release(since) or ()) <= version)


@cache
def _data() -> CrdFields:
    return load("crd_fields.yaml", CrdFields)
