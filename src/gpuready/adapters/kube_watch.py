"""Watches that outlive their connections.

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from typing import Any, Generic, TypeVar

import httpx2
import msgspec
from msgspec.structs import replace

from gpuready.adapters.kube_errors import Status, api_error
from gpuready.adapters.kube_http import Call, Transport, backoff
from gpuready.adapters.kube_pages import decode
from gpuready.model.errors import ApiError, Gone, TimedOut, Unreachable

WINDOW = 240  # seconds that the server keeps one connection open; dead ones are noticed by TCP keepalive
GRACE = 10.0  # seconds that a server may be late with closing
MAX_EVENT = 16 << 20  # one object has at most 1.5 MiB in etcd; managed fields and JSON make it longer

T = TypeVar("T")


class Event(msgspec.Struct, Generic[T], frozen=True):
    """`type` ADDED, MODIFIED, DELETED; BOOKMARK (object None) says that all up to `resource_version` was seen."""

    type: str
    object: T | None
    resource_version: str


class _Line(msgspec.Struct):
    type: str
    object: msgspec.Raw


class _Version(msgspec.Struct, frozen=True, rename="camel"):
    resource_version: str = ""


class _Versioned(msgspec.Struct):
    metadata: _Version = _Version()


_line = msgspec.json.Decoder(_Line)
_versioned = msgspec.json.Decoder(_Versioned)


def watch(
    transport: Transport,
    call: Call,
    item: type[T],
    *,
    resource_version: str,
    deadline: float,
    window: int = WINDOW,
) -> Generator[Event[T]]:
    """Everything that happens after `resource_version`, until the transport's clock reads `deadline`.

    A broken connection is taken up again where it ended. Gone: the caller must list again. Unreachable: the end came
    while the server did not answer. Bookmarks come about once a minute, and at the end of each window.
    """
    decoder = msgspec.json.Decoder(item)
    pauses = backoff()
    while (left := deadline - transport.now()) > 0:
        seconds = max(1, min(window, int(left + 0.999)))
        query = (
            *call.query,
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", resource_version),
            ("timeoutSeconds", str(seconds)),
        )
        opened = replace(call, query=query, repeatable=True, read_seconds=seconds + GRACE)
        began = transport.now()
        try:
            with contextlib.closing(_stream(transport, opened, decoder)) as events:
                for event in events:
                    resource_version = event.resource_version or resource_version
                    pauses = backoff()
                    yield event
                    if transport.now() >= deadline + GRACE:  # a server that does not keep to timeoutSeconds
                        return
        except ApiError as error:
            pause = next(pauses)
            if not passes(error) or transport.now() + pause >= deadline:
                raise
            transport.sleep(pause)
            continue
        yield Event("BOOKMARK", None, resource_version)  # nothing was missed up to the end of this window
        if transport.now() - began < 1:
            transport.sleep(next(pauses))  # a server that ends every watch at once


def passes(error: ApiError) -> bool:
    """Faults that a restart or a busy moment of the API server explains."""
    return isinstance(error, Unreachable) or error.code == 429 or error.code >= 500


def _stream(transport: Transport, call: Call, decoder: msgspec.json.Decoder[T]) -> Generator[Event[T]]:
    response = transport.open(call)
    try:
        for line in _lines(response, call):
            yield _event(line, decoder, call)
    except httpx2.HTTPError as error:
        raise transport.explain(error, call) from None
    finally:
        response.close()


def _lines(response: httpx2.Response, call: Call) -> Generator[bytes]:
    rest = b""
    for part in response.iter_bytes():
        *lines, rest = (rest + part).split(b"\n")
        if len(rest) > MAX_EVENT:
            raise ApiError(f"one event about {call.target} is larger than {MAX_EVENT >> 20} MiB", target=call.target)
        yield from (line for line in lines if line.strip())
    if rest.strip():
        yield rest


def _event(line: bytes, decoder: msgspec.json.Decoder[T], call: Call) -> Event[T]:
    read = decode(line, _line.decode, call.target)
    raw = bytes(read.object)
    if read.type == "ERROR":
        status = decode(raw, msgspec.json.Decoder(Status).decode, call.target)
        raise api_error(status.code, status, call.target)
    version = decode(raw, _versioned.decode, call.target).metadata.resource_version
    if read.type == "BOOKMARK":
        return Event("BOOKMARK", None, version)
    return Event(read.type, decode(raw, decoder.decode, call.target), version)


def follow(
    transport: Transport,
    one: Call,
    met: Callable[[dict[str, Any] | None], bool],
    *,
    deadline: float,
    each: Callable[[], None],
    window: int,
) -> dict[str, Any] | None:
    """The state of one object (None: not there) for which `met` holds, through lists and watches; else TimedOut.

    `one` lists the collection with a field selector for the object's name. `each` is called and `met` is asked after
    every state and at the end of every window, so that `met` may also look at other things.
    """
    pauses = backoff()
    while True:
        try:
            for state in _states(transport, one, deadline, window):
                each()
                if met(state):
                    return state
            raise TimedOut(
                f"{one.target} did not become what was waited for in time", "look at it, then run this again"
            )
        except Gone:  # history has been compacted, or began anew after a restore of the data store
            transport.sleep(next(pauses))
        except ApiError as error:
            pause = next(pauses)
            if not passes(error) or transport.now() + pause >= deadline:
                raise
            transport.sleep(pause)


def _states(
    transport: Transport, one: Call, deadline: float, window: int
) -> Generator[dict[str, Any] | None, None, None]:
    """What is there now, then each change; at the end of every window the same once more."""
    found = decode(transport.send(one), _found.decode, one.target)
    state = found.items[0] if found.items else None
    yield state
    version = found.metadata.resource_version
    events = watch(transport, one, dict[str, Any], resource_version=version, deadline=deadline, window=window)
    with contextlib.closing(events):
        for event in events:
            if event.type != "BOOKMARK":
                state = None if event.type == "DELETED" else event.object
            yield state


class _Found(msgspec.Struct):
    metadata: _Version = _Version()
    items: list[dict[str, Any]] | None = None


_found = msgspec.json.Decoder(_Found)
