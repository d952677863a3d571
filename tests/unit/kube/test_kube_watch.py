"""Watches that outlive their connections, and waiting for one object, against a server that plays both."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from kube_client_of import POD, Clock, Named, pod, query
from kube_double import Answer, Asked, Reply, Server, status

from gpuready.adapters.kube import Client
from gpuready.adapters.kube_watch import Event
from gpuready.model.errors import ApiError, Gone, TimedOut, Unreachable

Json = dict[str, Any]


def event(type: str, name: str = "", version: int = 0, **more: Any) -> bytes:
    return json.dumps({"type": type, "object": pod(name, version, **more)}).encode() + b"\n"


def stream(*lines: bytes, cut: bool = False) -> Answer:
    return Answer(lines=lines, cut=cut)


def gone() -> bytes:
    answer = status(410, "Expired", "too old resource version: 5 (77)")
    return json.dumps({"type": "ERROR", "object": answer.body}).encode() + b"\n"


class Playing:
    """Answers in turn; a watch ends as the API server ends it, after timeoutSeconds of the clock, or is cut off."""

    def __init__(self, clock: Clock, *replies: Reply) -> None:
        self.clock, self.replies = clock, list(replies)

    def __call__(self, asked: Asked) -> Answer:
        reply = self.replies.pop(0)
        answer = reply if isinstance(reply, Answer) else reply(asked)
        if answer.lines is None or answer.cut:
            return answer
        return Answer(lines=self._timed(answer.lines, float(query(asked)["timeoutSeconds"])))

    def _timed(self, lines: Iterable[bytes], seconds: float) -> Iterator[bytes]:
        yield from lines
        self.clock.time += seconds


def told(events: Iterable[Event[Named]]) -> list[tuple[str, str, str]]:
    return [(e.type, e.object.metadata.name if e.object else "", e.resource_version) for e in events]


def watch(client: Client, timeout: float) -> Iterator[Event[Named]]:
    return client.watch("v1", "Pod", Named, resource_version="5", timeout=timeout, labels="a=b")


def test_a_watch_goes_on_where_it_ended(client: Client, server: Server, clock: Clock) -> None:
    answers = (
        stream(event("ADDED", "a", 6), event("MODIFIED", "a", 7)),
        stream(event("BOOKMARK", "", 12)),
        stream(event("DELETED", "a", 15)[:9], event("DELETED", "a", 15)[9:]),
    )
    server.replies = [Playing(clock, *answers)]
    assert told(watch(client, 600)) == [
        ("ADDED", "a", "6"),
        ("MODIFIED", "a", "7"),
        ("BOOKMARK", "", "7"),
        ("BOOKMARK", "", "12"),
        ("BOOKMARK", "", "12"),
        ("DELETED", "a", "15"),
        ("BOOKMARK", "", "15"),
    ]
    assert [query(a) for a in server.asked] == [
        {
            "labelSelector": "a=b", "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": version,
            "timeoutSeconds": seconds,
        }
        for version, seconds in (("5", "240"), ("7", "240"), ("12", "120"))
    ]  # fmt: skip


# sentence, the answer that breaks off
BREAKS: list[tuple[str, Reply]] = [
    ("the connection ends within the stream", stream(event("ADDED", "a", 6), cut=True)),
    ("the API server is busy", status(503, "ServiceUnavailable", "x")),
    ("the connection ends before the stream", Answer(drop=True)),
]


@pytest.mark.parametrize("broken", [c[1] for c in BREAKS], ids=[c[0] for c in BREAKS])
def test_a_watch_survives(broken: Reply, client: Client, server: Server, clock: Clock) -> None:
    last = stream(event("MODIFIED", "a", 7))
    server.replies = [Playing(clock, stream(event("ADDED", "a", 6)), broken, last)]
    seen = [t for t in told(watch(client, 300)) if t[0] != "BOOKMARK"]
    assert [t for i, t in enumerate(seen) if t not in seen[:i]] == [("ADDED", "a", "6"), ("MODIFIED", "a", "7")]
    assert query(server.asked[-1])["resourceVersion"] == "6"


@pytest.mark.parametrize("first", [stream(gone()), status(410, "Expired", "too old resource version: 5 (77)")])
def test_a_watch_that_is_gone_says_so(first: Answer, client: Client, server: Server) -> None:
    server.replies = [first]
    with pytest.raises(Gone):
        list(watch(client, 10))


def test_a_watch_that_ends_while_the_server_is_away_says_so(client: Client, server: Server, clock: Clock) -> None:
    server.replies = [stream(event("ADDED", "a", 6)), Answer(drop=True)]
    events = watch(client, 60)
    assert told([next(events)]) == [("ADDED", "a", "6")]
    with pytest.raises(Unreachable):
        list(events)
    assert 50 < clock.time < 95


def test_a_server_that_ends_every_watch_at_once_is_not_run_over(client: Client, server: Server, clock: Clock) -> None:
    server.replies = [stream()]
    list(watch(client, 60))
    assert len(server.asked) < 25
    assert clock.time >= 60


@pytest.mark.parametrize("line", [b"not json\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":{"metadata":7}}\n'])
def test_a_line_that_is_no_event(line: bytes, client: Client, server: Server) -> None:
    server.replies = [stream(line)]
    with pytest.raises(ApiError, match="the answer about pods"):
        next(watch(client, 0.5))


def test_a_consumer_that_stops_closes_the_stream(client: Client, server: Server) -> None:
    endless = iter(lambda: event("MODIFIED", "a", 9), b"")
    server.replies = [Answer(lines=endless)]
    for _ in watch(client, 1e6):
        break
    pool = client._transport._pool
    assert pool is not None
    assert pool._transport._pool.connections == []  # type: ignore[attr-defined]


# waiting for one object


def listed(*objects: Json, version: str = "10") -> Answer:
    return Answer(200, {"metadata": {"resourceVersion": version}, "items": list(objects)})


def ready(obj: Json | None) -> bool:
    return obj is not None and obj.get("ready") is True


# sentence, answers in turn, what comes back, requests (watch: from which version)
WAITS: list[tuple[str, list[Reply], Json, list[str]]] = [
    ("it holds already", [listed(pod("p", 3, ready=True))], pod("p", 3, ready=True), ["list"]),
    (
        "it comes true",
        [listed(pod("p", 3)), stream(event("MODIFIED", "p", 11), event("MODIFIED", "p", 12, ready=True))],
        pod("p", 12, ready=True),
        ["list", "10"],
    ),
    (
        "the object is made only later",
        [listed(), stream(event("ADDED", "p", 11, ready=True))],
        pod("p", 11, ready=True),
        ["list", "10"],
    ),
    (
        "it is deleted and made again",
        [listed(pod("p", 3)), stream(event("DELETED", "p", 11), event("ADDED", "p", 12, ready=True))],
        pod("p", 12, ready=True),
        ["list", "10"],
    ),
    (
        "the connection breaks",
        [
            listed(pod("p", 3)),
            stream(event("MODIFIED", "p", 11), cut=True),
            stream(event("MODIFIED", "p", 12, ready=True)),
        ],
        pod("p", 12, ready=True),
        ["list", "10", "11"],
    ),
    (
        "history is gone: list again",
        [listed(pod("p", 3)), stream(gone(), cut=True), listed(pod("p", 30), version="30"),
         stream(event("MODIFIED", "p", 31, ready=True))],
        pod("p", 31, ready=True),
        ["list", "10", "list", "30"],
    ),
    (
        "history is gone, and it came true meanwhile",
        [listed(pod("p", 3)), stream(gone(), cut=True), listed(pod("p", 30, ready=True), version="30")],
        pod("p", 30, ready=True),
        ["list", "10", "list"],
    ),
    (
        "the API server starts and cannot list yet",
        [
            listed(pod("p", 3)),
            stream(gone(), cut=True),
            status(500, "InternalError", "not yet"),
            listed(pod("p", 9, ready=True)),
        ],
        pod("p", 9, ready=True),
        ["list", "10", "list", "list"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "last", "asked"), [c[1:] for c in WAITS], ids=[c[0] for c in WAITS])
def test_wait_for(
    answers: list[Reply], last: Json, asked: list[str], client: Client, server: Server, clock: Clock
) -> None:
    server.replies = [Playing(clock, *answers)]
    assert client.wait_for(POD, ready, timeout=240) == last
    assert [query(a).get("resourceVersion", "list") for a in server.asked] == asked
    assert {(a.path, query(a)["fieldSelector"]) for a in server.asked} == {
        ("/api/v1/namespaces/ns/pods", "metadata.name=p")
    }


# sentence, what happens to the object until the end
TOO_LATE: list[tuple[str, list[Reply]]] = [
    ("it never does", [listed(pod("p", 3)), stream(event("MODIFIED", "p", 11))]),
    ("it goes", [listed(pod("p", 3)), stream(event("DELETED", "p", 11))]),
    ("it never comes", [listed(), stream()]),
    ("there was only time for one look", [listed()]),
]


@pytest.mark.parametrize("answers", [c[1] for c in TOO_LATE], ids=[c[0] for c in TOO_LATE])
def test_wait_for_says_that_time_is_up(answers: list[Reply], client: Client, server: Server, clock: Clock) -> None:
    server.replies = [Playing(clock, *answers)]
    with pytest.raises(TimedOut) as caught:
        client.wait_for(POD, ready, timeout=240 if len(answers) == 2 else 0)
    assert (str(caught.value), isinstance(caught.value, TimeoutError)) == (
        "pods/p in namespace ns did not become what was waited for in time; look at it, then run this again",
        True,
    )


def test_wait_for_asks_again_at_every_tick_what_may_rest_on_other_things(
    client: Client, server: Server, clock: Clock
) -> None:
    other: list[str] = []

    def until(_: Json | None) -> bool:
        return len(other) >= 3

    server.replies = [Playing(clock, listed(pod("p", 3)), stream(), stream(), stream())]
    assert client.wait_for(POD, until, timeout=300, each=lambda: other.append("seen")) == pod("p", 3)
    assert clock.time == 20


def test_wait_for_calls_each_at_every_state_and_tick(client: Client, server: Server, clock: Clock) -> None:
    calls: list[float] = []
    streams = [stream(), stream(), stream(), stream(event("MODIFIED", "p", 12, ready=True))]
    server.replies = [Playing(clock, listed(pod("p", 3)), *streams)]
    client.wait_for(POD, ready, timeout=300, each=lambda: calls.append(clock.time))
    assert calls[:4] == [0, 10, 20, 30]
    assert len(calls) == 5
    assert {query(a)["timeoutSeconds"] for a in server.asked[1:]} == {"10"}


def test_wait_for_stops_when_each_raises(client: Client, server: Server, clock: Clock) -> None:
    class LockLostError(Exception): ...

    def lost() -> None:
        raise LockLostError

    server.replies = [Playing(clock, listed(pod("p", 3)))]
    with pytest.raises(LockLostError):
        client.wait_for(POD, ready, timeout=300, each=lost)


def test_wait_for_tells_a_refusal_at_once(client: Client, server: Server, clock: Clock) -> None:
    message = 'pods is forbidden: User "u" cannot watch resource "pods" in API group "" in the namespace "ns"'
    server.replies = [Playing(clock, listed(pod("p", 3)), status(403, "Forbidden", message))]
    with pytest.raises(ApiError, match="u may not watch pods in namespace ns"):
        client.wait_for(POD, ready, timeout=300)
    assert clock.slept == []
