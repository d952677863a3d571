"""Asks the API what the collectors want to know, and makes the cluster's facts of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from gpuready.engine import catalog
from gpuready.model.collector import Ask, Collector
from gpuready.model.errors import Incomplete, NotFound, UserError
from gpuready.model.facts.cluster import ClusterFacts, Identity, Permission
from gpuready.model.ports import Reader
from gpuready.model.unknown import Partial, Unknown


class GroupVersion(msgspec.Struct, frozen=True):
    version: str


class Group(msgspec.Struct, frozen=True):
    """/apis/GROUP: the versions, the preferred first."""

    versions: tuple[GroupVersion, ...]


class ApiResource(msgspec.Struct, frozen=True):
    name: str


class Resources(msgspec.Struct, frozen=True):
    """/apis/GROUP/VERSION."""

    resources: tuple[ApiResource, ...] | None  # null: serves none


GROUP = msgspec.json.Decoder(Group)
RESOURCES = msgspec.json.Decoder(Resources)


def gather(
    reader: Reader, identity: Identity, permissions: tuple[Permission, ...] = (), *, doctor: bool = False
) -> ClusterFacts:
    """One field a collector; what could not be read makes that field Unknown, and no other.

    `doctor`: ask also what only an explanation needs.
    """
    wanted = [collector for collector in catalog.collectors() if doctor or not collector.doctor]
    found = {collector.gives: collect(reader, collector) for collector in wanted}
    return ClusterFacts(identity=identity, permissions=permissions, **found)


def collect(reader: Reader, collector: Collector) -> Any:
    """The fact, or Unknown with what stood in the way. Pages are parsed as they come and not kept."""
    cut: list[Incomplete] = []
    try:
        fact = collector.parse(*(_as_far_as_read(_pages(reader, ask), cut) for ask in collector.asks))
        if not cut:
            return fact
        rest = Unknown(cut[0].what, ask=cut[0].next)
        return Partial.of(fact, rest) if isinstance(fact, tuple) and fact else rest
    except UserError as error:
        return Unknown(error.what, ask=error.next)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unknown(f"{collector.asks[0].path}: the answer is not what the API documents: {error}"[:300])


def _as_far_as_read(pages: Iterator[bytes], cut: list[Incomplete]) -> Iterator[bytes]:
    try:
        yield from pages
    except Incomplete as end:
        cut.append(end)


def _pages(reader: Reader, ask: Ask) -> Iterator[bytes]:
    try:
        path = _served(reader, ask.path)
        if path is not None:
            limit = {"limit": str(ask.limit)} if ask.limit else {}
            yield from reader.pages(path, limit | ({"fieldSelector": ask.fields} if ask.fields else {}))
        elif not ask.optional:
            raise UserError(f"the API does not serve {ask.path}")
    except NotFound:
        if not ask.optional:
            raise


def _served(reader: Reader, path: str) -> str | None:
    """The path with the first version of its group that serves the resource; None when none does."""
    if "/*/" not in path:
        return path
    group, resource = path.split("/*/")
    try:
        versions = GROUP.decode(_document(reader, group)).versions
    except NotFound:
        return None
    for served in versions:
        served_here = RESOURCES.decode(_document(reader, f"{group}/{served.version}")).resources or ()
        if any(r.name == resource for r in served_here):
            return f"{group}/{served.version}/{resource}"
    return None


def _document(reader: Reader, path: str) -> bytes:
    return b"".join(reader.pages(path))
