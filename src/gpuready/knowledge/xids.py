"""Xid errors: what each number means, what may be at fault, what clears it. xids.yaml has the sources.

Read at the first question and not before: a node's agent asks when an Xid comes, and starts without a YAML reader.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from functools import cache

import msgspec

from gpuready.knowledge._files import load


class Cure(enum.Enum):
    """What a GPU needs before it can be used again."""

    APP = "application"  # nothing: it concerns the program that ran, not the GPU
    RESET = "reset"
    REBOOT = "reboot"
    UNLISTED = "unlisted"  # nothing is known that would clear it


class Bucket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An immediate action of NVIDIA's catalogue."""

    cure: Cure
    do: str


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    meaning: str
    bucket: str
    at_fault: tuple[str, ...]  # in NVIDIA's order; empty: not classed
    sources: tuple[str, ...]
    linked: bool = False


class Ignored(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    xids: frozenset[int]
    sources: tuple[str, ...]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    as_of: str
    sources: Mapping[str, str]
    ignored: Ignored
    buckets: Mapping[str, Bucket]
    xids: Mapping[int, Entry]


class Xid(msgspec.Struct, frozen=True):
    number: int
    meaning: str
    cure: Cure
    do: str
    at_fault: tuple[str, ...] = ()
    linked: bool = False  # since driver 565 the driver itself says through its recovery action whether this is cleared

    @property
    def of_program(self) -> bool:
        """The GPU goes on working, and what the program did is one of the causes that NVIDIA names."""
        return self.cure is Cure.APP and "application" in self.at_fault

    def __str__(self) -> str:
        return f"Xid {self.number}, {self.meaning}"


@cache
def table() -> Table:
    return load("xids.yaml", Table)


@cache
def describe(number: int) -> Xid:
    """Of any number: one that is not in the table is UNLISTED, with what NVIDIA's catalogue asks for then."""
    data = table()
    entry = data.xids.get(number)
    if entry is None:
        support = data.buckets["CONTACT_SUPPORT"]
        return Xid(number, f"not in NVIDIA's catalogue of {data.as_of}", support.cure, support.do)
    bucket = data.buckets[entry.bucket]
    return Xid(number, entry.meaning, bucket.cure, bucket.do, entry.at_fault, entry.linked)


def ignored() -> frozenset[int]:
    """The errors on which NVIDIA's device plugin does not act unless told to."""
    return table().ignored.xids


def with_cure(*cures: Cure) -> tuple[int, ...]:
    """The numbers that need one of these, in order."""
    return tuple(sorted(number for number in table().xids if describe(number).cure in cures))
