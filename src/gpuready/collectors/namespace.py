"""Our own namespace: there, absent, or being deleted; and who else manages it."""

from __future__ import annotations

import msgspec

from gpuready.collectors._wire import Managed, Meta, Wire, managers
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import Namespace
from gpuready.model.names import NAMESPACE


class NamespaceMeta(Meta, frozen=True):
    managed_fields: tuple[Managed, ...] = ()


class Condition(Wire, frozen=True):
    type: str
    status: str
    message: str = ""


class Status(Wire, frozen=True):
    phase: str = "Active"
    conditions: tuple[Condition, ...] = ()


class WireNamespace(Wire, frozen=True):
    metadata: NamespaceMeta
    status: Status = Status()


DECODER = msgspec.json.Decoder(WireNamespace)


def parse(pages: Pages) -> Namespace | None:
    page = next(pages, None)
    if page is None:
        return None
    item = DECODER.decode(page)
    return Namespace(
        name=item.metadata.name,
        phase=item.status.phase,
        labels=item.metadata.labels,
        annotations=item.metadata.annotations,
        managers=managers(item.metadata.managed_fields),
        blocked=blocked(item),
    )


def blocked(item: WireNamespace) -> tuple[str, ...]:
    return tuple(c.message for c in item.status.conditions if c.status == "True" and c.message)


COLLECTOR = Collector(
    gives="own_namespace", asks=(Ask(path=f"/api/v1/namespaces/{NAMESPACE}", limit=0, optional=True),), parse=parse
)
