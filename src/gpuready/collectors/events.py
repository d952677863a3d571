"""Warnings of the last hour: what kubelets, schedulers and controllers said of pods, nodes and DaemonSets."""

from __future__ import annotations

import msgspec

from gpuready.collectors._wire import LIST, Wire
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import Event

LONGEST = 4000  # characters of a message


class Involved(Wire, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""


class Source(Wire, frozen=True):
    component: str = ""
    host: str = ""


class Series(Wire, frozen=True):
    count: int = 0
    last_observed_time: str | None = None


class WireEvent(Wire, frozen=True):
    involved_object: Involved
    reason: str = ""
    message: str = ""
    source: Source = Source()
    reporting_component: str = ""
    count: int = 1
    series: Series | None = None
    last_timestamp: str | None = None
    event_time: str | None = None


DECODER = msgspec.json.Decoder(LIST[WireEvent])


def parse(pages: Pages) -> tuple[Event, ...]:
    return tuple(_event(item) for page in pages for item in DECODER.decode(page))


def _event(item: WireEvent) -> Event:
    of, series = item.involved_object, item.series or Series()
    where = f"{of.namespace}/{of.name}" if of.namespace else of.name
    return Event(
        about=f"{of.kind.lower()}/{where}",
        reason=item.reason,
        message=item.message[:LONGEST],
        component=item.source.component or item.reporting_component,
        node=of.name if of.kind == "Node" else item.source.host,
        last=series.last_observed_time or item.last_timestamp or item.event_time or "",
        count=max(item.count, series.count, 1),
    )


COLLECTOR = Collector(
    gives="events", asks=(Ask(path="/api/v1/events", fields="type=Warning"),), parse=parse, doctor=True
)
