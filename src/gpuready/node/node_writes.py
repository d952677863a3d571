"""Keeps the Node's labels and condition as they should be, and sends events. The device plugin never waits for it."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

from gpuready.model.errors import UserError
from gpuready.node.condition import Condition, condition_object, event_object
from gpuready.node.log import say, timestamp
from gpuready.node.node_api import NodeApi

HEARTBEAT = 300.0  # seconds; a condition whose heartbeat is much older speaks for nobody
LABELS_AGAIN = 3600.0  # seconds; applying what is there changes nothing, but brings back what somebody took away
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0
MOST_EVENTS = 32  # kept while the API cannot be reached; the oldest go first
T = TypeVar("T")


class NodeEvent(msgspec.Struct, frozen=True, kw_only=True):
    reason: str  # "GPUFailed"
    note: str
    warning: bool
    at: str  # RFC 3339 with microseconds


def event(reason: str, note: str, *, warning: bool) -> NodeEvent:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return NodeEvent(reason=reason, note=note, warning=warning, at=now)


class NodeWriter:
    def __init__(self, node: str, instance: str, connect: Callable[[], NodeApi]) -> None:
        self.errors = 0
        self._node = node
        self._instance = instance
        self._connect = connect
        self._api: NodeApi | None = None
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="api")
        self._wake = asyncio.Event()
        self._events: deque[NodeEvent] = deque(maxlen=MOST_EVENTS)
        self._labels: Mapping[str, str] | None = None
        self._labels_written: tuple[Mapping[str, str], float] | None = None
        self._taken: dict[str, str] = {}
        self._condition: Condition | None = None
        self._condition_written: tuple[Condition, float] | None = None
        self._since = ""

    def want(self, labels: Mapping[str, str] | None, condition: Condition) -> None:
        """`labels` None: nothing is known just now, those on the Node stay."""
        if labels is not None:
            self._labels = labels
        self._condition = condition
        self._wake.set()

    def send(self, what: NodeEvent) -> None:
        self._events.append(what)
        self._wake.set()

    async def run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            self._wake.clear()
            failed = [await self._try(part) for part in (self._write_condition, self._write_labels, self._write_events)]
            delay, pause = (pause, min(pause * 2, LONGEST_PAUSE)) if any(failed) else (HEARTBEAT, FIRST_PAUSE)
            with suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._wake.wait()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def _try(self, part: Callable[[NodeApi], None]) -> bool:
        """True when it failed; the others are tried all the same."""
        try:
            await asyncio.get_running_loop().run_in_executor(self._pool, self._with_api, part)
        except UserError as error:
            self.errors += 1
            say("the API did not take it", what=part.__name__.removeprefix("_write_"), why=error)
            return True
        return False

    def _with_api(self, part: Callable[[NodeApi], None]) -> None:
        if self._api is None:
            self._api = self._connect()
        part(self._api)

    def _write_labels(self, api: NodeApi) -> None:
        wanted = self._labels
        if wanted is None or not due(self._labels_written, wanted, LABELS_AGAIN):
            return
        taken = api.apply_labels(wanted)
        if taken != self._taken and taken:
            note = "left alone, held with other values: " + ", ".join(f"{key} by {by}" for key, by in taken.items())
            say("labels left alone", labels=note)
            self._events.append(event("LabelsLeftAlone", note, warning=True))
        if self._labels_written is None or self._labels_written[0] != wanted:
            say("labels written", count=len(wanted) - len(taken))
        self._taken = taken
        self._labels_written = wanted, time.monotonic()

    def _write_condition(self, api: NodeApi) -> None:
        wanted = self._condition
        if wanted is None or not due(self._condition_written, wanted, HEARTBEAT):
            return
        now = timestamp()
        self._since = self._held_since(api, wanted, now)
        api.apply_condition(condition_object(self._node, wanted, self._since, now))
        self._condition_written = wanted, time.monotonic()

    def _held_since(self, api: NodeApi, wanted: Condition, now: str) -> str:
        """When the condition took this status: from our last write, or from the Node after a restart of the agent."""
        if self._condition_written:
            return self._since if self._condition_written[0].status == wanted.status else now
        standing = api.condition()
        return str(standing["lastTransitionTime"]) if standing and standing.get("status") == wanted.status else now

    def _write_events(self, api: NodeApi) -> None:
        while self._events:
            what = self._events[0]
            name = f"{self._node[:200]}.{uuid.uuid4().hex[:16]}"
            api.create_event(
                event_object(
                    self._node,
                    name=name,
                    reason=what.reason,
                    note=what.note,
                    warning=what.warning,
                    now=what.at,
                    instance=self._instance,
                )
            )
            self._events.popleft()


def due(written: tuple[T, float] | None, wanted: T, seconds: float) -> bool:
    return written is None or written[0] != wanted or time.monotonic() - written[1] >= seconds
