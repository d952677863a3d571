"""Which requests are sent again, how long for, and whether it is known what became of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kube_client_of import OK, POD, Clock, client_of
from kube_double import Answer, Reply, Server, status

from gpuready.adapters.kube import Client
from gpuready.model.errors import ApiError, Conflict

GET: Callable[[Client], Any] = lambda c: c.get(POD)  # noqa: E731
CREATE: Callable[[Client], Any] = lambda c: c.create(  # noqa: E731
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns"}}
)
APPLY: Callable[[Client], Any] = lambda c: c.apply(  # noqa: E731
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns"}}, manager="m"
)
TIED: Callable[[Client], Any] = lambda c: c.apply(  # noqa: E731
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ns", "resourceVersion": "7"}},
    manager="m",
)
BUSY = status(429, "TooManyRequests", "busy")
BUSY_WAIT = Answer(429, BUSY.body, {"Retry-After": "2"})
DOWN = status(503, "ServiceUnavailable", "down")
DOWN_WAIT = Answer(503, DOWN.body, {"Retry-After": "1"})
LEADER = status(500, "", "etcdserver: leader changed")
NO_ACCOUNT = 'pods "p" is forbidden: error looking up service account ns/{0}: serviceaccount "{0}" not found'
NEW_NAMESPACE = status(403, "Forbidden", NO_ACCOUNT.format("default"))
NO_SUCH_ACCOUNT = status(403, "Forbidden", NO_ACCOUNT.format("x"))
BROKEN = status(500, "InternalError", "boom")

# sentence, call, the first answer, whether the call is repeated (the second answer is good)
REPEATS: list[tuple[str, Callable[[Client], Any], Reply, bool]] = [
    ("429 with Retry-After: nothing was done, any verb", CREATE, BUSY_WAIT, True),
    ("429 without, read", GET, BUSY, True),
    ("429 without, create", CREATE, BUSY, False),
    ("503 with Retry-After, create", CREATE, DOWN_WAIT, True),
    ("503 without, read", GET, DOWN, True),
    ("503 without, create", CREATE, DOWN, False),
    ("503 without, apply, which can be done twice", APPLY, DOWN, True),
    ("503 without, apply tied to one state", TIED, DOWN, False),
    ("the data store's leader changed, read", GET, LEADER, True),
    ("the data store's leader changed, create", CREATE, LEADER, False),
    ("the namespace is so new that its account is not made yet, create", CREATE, NEW_NAMESPACE, True),
    ("an account that somebody named is not there, create", CREATE, NO_SUCH_ACCOUNT, False),
    ("500, read", GET, BROKEN, False),
    ("503 of a pod behind the API server", lambda c: c.proxy_get("ns", "p", 1), DOWN, False),
    ("the connection ends without an answer, read", GET, Answer(drop=True), True),
    ("the connection ends without an answer, create", CREATE, Answer(drop=True), False),
    ("the answer is cut off, read", GET, Answer(200, OK.body, cut=True), True),
    ("the answer is cut off, create", CREATE, Answer(200, OK.body, cut=True), False),
]


@pytest.mark.parametrize(("call", "first", "again"), [c[1:] for c in REPEATS], ids=[c[0] for c in REPEATS])
def test_what_is_repeated(
    call: Callable[[Client], Any], first: Reply, again: bool, client: Client, server: Server, clock: Clock
) -> None:
    client.get(POD)  # the first contact of all would fail at once
    server.asked.clear()
    server.replies = [first, OK]
    error: ApiError | None = None
    try:
        call(client)
    except ApiError as caught:
        error = caught
    assert (len(server.asked), error is None, len(clock.slept)) == ((2, True, 1) if again else (1, False, 0))


def test_retry_after_is_kept_to(client: Client, server: Server, clock: Clock) -> None:
    server.replies = [BUSY_WAIT, OK]
    client.get(POD)
    assert clock.slept == [2.0]


def test_it_gives_up_in_time_and_pauses_longer_and_longer(client: Client, server: Server, clock: Clock) -> None:
    server.replies = [DOWN]
    with pytest.raises(ApiError) as caught:
        client.get(POD)
    assert caught.value.what == "the API server cannot serve pods now: down"
    assert 20 < clock.time <= 30
    steps = [0.2, 0.4, 0.8, 1.6, 3.2, *([5.0] * 20)]
    assert [(p, s) for p, s in zip(clock.slept, steps, strict=False) if not s / 2 <= p <= s] == []


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(client: Client, server: Server, clock: Clock) -> None:
    server.replies = [Answer(429, BUSY.body, {"Retry-After": "3600"})]
    with pytest.raises(ApiError, match="overloaded"):
        client.get(POD)
    assert clock.slept == []


# sentence, call, answer, whether it is unknown that the call was carried out
DOUBTS: list[tuple[str, Callable[[Client], Any], Reply, bool]] = [
    ("create, no answer", CREATE, Answer(drop=True), True),
    ("create, half an answer", CREATE, Answer(200, OK.body, cut=True), True),
    ("create, 504 of a proxy or the server", CREATE, status(504, "Timeout", "timed out"), True),
    ("create, 500", CREATE, BROKEN, True),
    ("create, a webhook that does not answer comes before storing", CREATE,
     status(500, "InternalError", 'Internal error occurred: failed calling webhook "w": x'), False),
    ("create, 409", CREATE, status(409, "AlreadyExists", "x"), False),
    ("create, 429", CREATE, BUSY, False),
    ("get, no answer", GET, Answer(drop=True), False),
]  # fmt: skip


@pytest.mark.parametrize(("call", "answer", "doubt"), [c[1:] for c in DOUBTS], ids=[c[0] for c in DOUBTS])
def test_whether_it_was_done(
    call: Callable[[Client], Any], answer: Reply, doubt: bool, client: Client, server: Server
) -> None:
    server.replies = [answer]
    with pytest.raises(ApiError) as caught:
        call(client)
    assert caught.value.maybe_done is doubt


def test_a_restart_of_the_api_server_is_waited_for(tmp_path: Path) -> None:
    """It answered before, so a refused connection is a restart: what was not sent can be sent, also a create."""
    first = Server(None, tmp_path)
    first.replies = [OK]
    revived: list[Server] = []

    class Waiting(Clock):
        def sleep(self, seconds: float) -> None:
            super().sleep(seconds)
            if len(self.slept) == 2:
                revived.append(Server(None, tmp_path, port=first.port))
                revived[0].replies = [OK]

    clock = Waiting()
    with client_of(first.url, clock) as client:
        client.get(POD)
        first.close()
        CREATE(client)
    assert ([a.method for a in revived[0].asked], len(clock.slept)) == (["POST"], 2)
    revived[0].close()


def test_a_conflict_keeps_its_class_over_the_wire(client: Client, server: Server) -> None:
    server.replies = [status(409, "Conflict", "Precondition failed: UID in precondition: a, UID in object meta: b")]
    with pytest.raises(Conflict, match="deleted since"):
        client.delete(POD, uid="a")


def test_threads_share_one_client(client: Client) -> None:
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(client.get(POD))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert found == [OK.body] * 16
