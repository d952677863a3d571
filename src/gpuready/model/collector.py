"""A collector: what to ask the API, and how the answer becomes a fact. It does no I/O itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

Pages = Iterator[bytes]


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One reading. `*` in place of the version means: the first version of the group that serves the resource.

    `optional`: the API not knowing the path (404, or no such group or resource) is an answer: no pages.
    """

    path: str  # "/api/v1/nodes", "/apis/nvidia.com/*/clusterpolicies"
    limit: int = 500  # objects a page; 0: a single object, not a list
    optional: bool = False
    fields: str = ""  # field selector: "type=Warning"


class Collector(msgspec.Struct, frozen=True, kw_only=True):
    """`parse` takes one iterator of raw pages per ask, in order, and drops each page as it goes.

    It raises msgspec.DecodeError (msgspec.ValidationError is one) on what it cannot read; nothing is guessed.
    """

    gives: str  # field of ClusterFacts
    asks: tuple[Ask, ...]
    parse: Callable[..., Any]
    doctor: bool = False  # asked only where something is to be explained
