"""Lists page by page and watches that outlive their connections, against a server that plays both."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import msgspec
import pytest
from kube_client_of import Clock, client_of
from kube_double import Answer, Asked, Reply, Server, status

from gpuready.adapters.kube import Client
from gpuready.adapters.kube_pages import Page
from gpuready.adapters.kube_watch import Event
from gpuready.model.errors import ApiError, Gone, Unreachable
from gpuready.model.plan import Ref

POD = Ref(api_version="v1", kind="Pod", name="p", namespace="ns")
Json = dict[str, Any]


class Name(msgspec.Struct, frozen=True):
    name: str


class Named(msgspec.Struct, frozen=True):
    metadata: Name


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(None, tmp_path)
    yield server
    server.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(server: Server, clock: Clock) -> Iterator[Client]:
    with client_of(server.url, clock) as client:
        yield client


def pod(name: str, version: int = 0, **more: Any) -> Json:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, **more}


def page(*names: str, version: str = "10", more: str = "") -> Answer:
    meta = {"resourceVersion": version, **({"continue": more} if more else {})}
    return Answer(200, {"kind": "PodList", "metadata": meta, "items": [pod(n) for n in names] or None})


def query(asked: Asked) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(asked.query, keep_blank_values=True).items()}


def named(*names: str) -> list[Named]:
    return [Named(Name(n)) for n in names]


def expired(more: str = "") -> Answer:
    answer = status(410, "Expired", "The provided continue parameter is too old")
    assert isinstance(answer.body, dict)
    return Answer(410, {**answer.body, "metadata": {"continue": more}})


# sentence, answers, pages, tokens that were sent
LISTS: list[tuple[str, list[Reply], list[Page[Named]], list[str]]] = [
    ("nothing (Go writes null)", [page()], [Page([], "10")], [""]),
    ("one page", [page("a", "b")], [Page(named("a", "b"), "10")], [""]),
    (
        "three pages; the state is that of the first",
        [page("a", more="t1"), page("b", more="t2"), page("c")],
        [Page(named("a"), "10"), Page(named("b"), "10"), Page(named("c"), "10")],
        ["", "t1", "t2"],
    ),
    (
        "the first state is no longer kept: on at a newer one, and said so",
        [page("a", more="t1"), expired("t1-new"), page("b", version="20", more="t2"), page("c", version="20")],
        [Page(named("a"), "10"), Page(named("b"), "10", False), Page(named("c"), "10", False)],
        ["", "t1", "t1-new", "t2"],
    ),
]


@pytest.mark.parametrize(("answers", "pages", "tokens"), [c[1:] for c in LISTS], ids=[c[0] for c in LISTS])
def test_list_pages(
    answers: list[Reply], pages: list[Page[Named]], tokens: list[str], client: Client, server: Server
) -> None:
    server.replies = list(answers)
    assert list(client.list_pages("v1", "Pod", Named)) == pages
    assert [query(a).get("continue", "") for a in server.asked] == tokens
    assert {query(a)["limit"] for a in server.asked} == {"500"}


def test_a_list_that_cannot_go_on_is_gone_and_a_whole_one_begins_again(client: Client, server: Server) -> None:
    server.replies = [page("a", more="t1"), expired()]
    pages = client.list_pages("v1", "Pod", Named)
    assert next(pages) == Page(named("a"), "10")
    with pytest.raises(Gone):
        next(pages)
    server.replies = [page("a", more="t1"), expired(), page("a", "b")]
    assert client.list_objects("v1", "Pod") == [
        {"apiVersion": "v1", "kind": "Pod", **pod("a")},
        {"apiVersion": "v1", "kind": "Pod", **pod("b")},
    ]


def test_raw_pages_are_what_was_answered(client: Client, server: Server) -> None:
    bodies = [b'{ "metadata": {"continue": "t"}, "items": [1]}', b'{"items":[{"odd":2}]}']
    server.replies = [Answer(200, b) for b in bodies]
    assert list(client.pages("/api/v1/pods", {"labelSelector": "a=b"})) == bodies
    assert [query(a) for a in server.asked] == [
        {"labelSelector": "a=b", "limit": "500"},
        {"labelSelector": "a=b", "limit": "500", "continue": "t"},
    ]
    server.replies = [Answer(200, b'{"gitVersion":"v1"}')]
    assert list(client.pages("/version")) == [b'{"gitVersion":"v1"}']


def test_an_item_of_another_form_is_named(client: Client, server: Server) -> None:
    server.replies = [Answer(200, {"metadata": {}, "items": [pod("a"), {"metadata": {"name": 7}}]})]
    with pytest.raises(ApiError) as caught:
        list(client.list_pages("v1", "Pod", Named, namespace="ns"))
    assert caught.value.what == (
        "the answer about pods in namespace ns has another form than expected: "
        "Expected `str`, got `int` - at `$.items[1].metadata.name`"
    )


def test_folding_pages_takes_the_memory_of_one(client: Client, server: Server) -> None:
    """40 pages of 1 MB, of which the names are kept."""
    items = [pod(f"p{i}", filler="x" * 2000) for i in range(500)]
    body = {"metadata": {"continue": "t"}, "items": items}
    data = json.dumps(body).encode()
    server.replies = [*[Answer(200, data)] * 39, page("last")]
    names: list[str] = []
    tracemalloc.start()
    try:
        for one in client.list_pages("v1", "Pod", Named):
            names += [item.metadata.name for item in one.items]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert names == [f"p{i}" for i in range(500)] * 39 + ["last"]
    assert peak < 12 * len(data)


# watches


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
WAITS: list[tuple[str, list[Reply], Json | None, list[str]]] = [
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
    (
        "it never does: the last state",
        [listed(pod("p", 3)), stream(event("MODIFIED", "p", 11))],
        pod("p", 11),
        ["list", "10"],
    ),
    ("it never does, and is gone", [listed(pod("p", 3)), stream(event("DELETED", "p", 11))], None, ["list", "10"]),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "last", "asked"), [c[1:] for c in WAITS], ids=[c[0] for c in WAITS])
def test_wait_for(
    answers: list[Reply], last: Json | None, asked: list[str], client: Client, server: Server, clock: Clock
) -> None:
    server.replies = [Playing(clock, *answers)]
    assert client.wait_for(POD, ready, timeout=240) == last
    assert [query(a).get("resourceVersion", "list") for a in server.asked] == asked
    assert {(a.path, query(a)["fieldSelector"]) for a in server.asked} == {
        ("/api/v1/namespaces/ns/pods", "metadata.name=p")
    }


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
