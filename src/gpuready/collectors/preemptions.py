"""Pods that had to give way to one of higher priority: the scheduler says so in an event, but not in a warning."""

from __future__ import annotations

from gpuready.collectors import events
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import Event

REASON = "Preempted"


def parse(pages: Pages) -> tuple[Event, ...]:
    return tuple(event for event in events.parse(pages) if event.reason == REASON)


COLLECTOR = Collector(
    gives="preemptions",
    asks=(Ask(path="/api/v1/events", fields=f"type=Normal,reason={REASON}"),),
    parse=parse,
    doctor=True,
)
