"""Requests over a real socket: what is sent, what is sent again, and what is said when no good answer comes."""

from __future__ import annotations

import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kube_double import Answer, Asked, Reply, Server, status
from msgspec.structs import replace

from gpuready.adapters import kube_requests as requests
from gpuready.adapters.kube import Client, Version
from gpuready.adapters.kube_connection import Connection
from gpuready.adapters.kube_http import Transport
from gpuready.adapters.kubeconfig import User
from gpuready.model import ports
from gpuready.model.errors import ApiError, Conflict, NotFound, Unreachable, UserError
from gpuready.model.plan import Ref

POD = Ref(api_version="v1", kind="Pod", name="p", namespace="ns")
NODE = Ref(api_version="v1", kind="Node", name="n")
OK = Answer(200, {"kind": "Pod", "metadata": {"name": "p"}})


class Clock:
    """Time passes only by sleeping."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(None, tmp_path)
    server.replies = [OK]
    yield server
    server.close()


def client_of(url: str, clock: Clock, **more: Any) -> Client:
    connection = Connection(
        server=url, context="c", cluster="k", user_name="u", user=User(token="tok"), namespace="default",
        source="/k/config", **more,
    )  # fmt: skip
    return Client(Transport(connection, now=clock.now, sleep=clock.sleep))


@pytest.fixture
def client(server: Server, clock: Clock) -> Iterator[Client]:
    with client_of(server.url, clock) as client:
        yield client


def test_the_client_is_what_the_engine_asks_for(client: Client) -> None:
    cluster: ports.Cluster = client
    reader: ports.Reader = client
    assert (cluster, reader) == (client, client)


# sentence, what is called, method, path, query, content type, body
REQUESTS: list[tuple[str, Callable[[Client], Any], str, str, str, str, Any]] = [
    ("get", lambda c: c.get(POD), "GET", "/api/v1/namespaces/ns/pods/p", "", "", None),
    ("get, cluster-scoped", lambda c: c.get(NODE), "GET", "/api/v1/nodes/n", "", "", None),
    (
        "create",
        lambda c: c.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "x-", "namespace": "ns"}}),
        "POST",
        "/api/v1/namespaces/ns/pods",
        "",
        "application/json",
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "x-", "namespace": "ns"}},
    ),
    (
        "server-side apply of a status, as a dry run, forced",
        lambda c: c.apply(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {}},
            manager="gpuready", force=True, dry_run=True, subresource="status",
        ),
        "PATCH",
        "/api/v1/nodes/n/status",
        "dryRun=All&force=true&fieldManager=gpuready",
        "application/apply-patch+yaml",
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {}},
    ),
    (
        "a merge patch tied to an object and its state",
        lambda c: c.patch(NODE, {"metadata": {"labels": {"a": None}}}, uid="U", resource_version="7", manager="m"),
        "PATCH",
        "/api/v1/nodes/n",
        "fieldManager=m",
        "application/merge-patch+json",
        {"metadata": {"labels": {"a": None}, "uid": "U", "resourceVersion": "7"}},
    ),
    (
        "a JSON patch tied to an object and its state",
        lambda c: c.patch(NODE, [{"op": "remove", "path": "/a"}], uid="U", resource_version="7"),
        "PATCH",
        "/api/v1/nodes/n",
        "",
        "application/json-patch+json",
        [
            {"op": "replace", "path": "/metadata/uid", "value": "U"},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "remove", "path": "/a"},
        ],
    ),
    (
        "replace",
        lambda c: c.replace({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "resourceVersion": "7"}}),
        "PUT",
        "/api/v1/nodes/n",
        "",
        "application/json",
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "resourceVersion": "7"}},
    ),
    (
        "delete of this very object",
        lambda c: c.delete(POD, uid="U", resource_version="7", grace=0, propagation="Foreground"),
        "DELETE",
        "/api/v1/namespaces/ns/pods/p",
        "",
        "application/json",
        {
            "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground", "gracePeriodSeconds": 0,
            "preconditions": {"uid": "U", "resourceVersion": "7"},
        },
    ),
    (
        "list with selectors",
        lambda c: c.list_objects("apps/v1", "DaemonSet", labels="a=b,c", fields="metadata.name=x"),
        "GET",
        "/apis/apps/v1/daemonsets",
        "labelSelector=a%3Db%2Cc&fieldSelector=metadata.name%3Dx&limit=500",
        "",
        None,
    ),
    (
        "logs",
        lambda c: c.logs("ns", "p", container="main", previous=True, limit=100, tail=5),
        "GET",
        "/api/v1/namespaces/ns/pods/p/log",
        "container=main&previous=true&tailLines=5&limitBytes=100",
        "",
        None,
    ),
    (
        "a pod's own port",
        lambda c: c.proxy_get("ns", "p", 9400, "/metrics?a=b"),
        "GET",
        "/api/v1/namespaces/ns/pods/p:9400/proxy/metrics",
        "a=b",
        "",
        None,
    ),
    ("any path", lambda c: c.get_raw("/readyz", {"verbose": ""}), "GET", "/readyz", "verbose=", "", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "method", "path", "query", "content_type", "body"), [c[1:] for c in REQUESTS], ids=[c[0] for c in REQUESTS]
)
def test_what_is_sent(
    call: Callable[[Client], Any],
    method: str,
    path: str,
    query: str,
    content_type: str,
    body: Any,
    client: Client,
    server: Server,
) -> None:
    call(client)
    (asked,) = server.asked
    sent = json.loads(asked.body) if asked.body else None
    assert (asked.method, asked.path, asked.query, asked.header("content-type"), sent) == (
        method, path, query, content_type, body,
    )  # fmt: skip
    assert (asked.header("authorization"), asked.header("user-agent")) == ("Bearer tok", "gpuready")


def test_can_i(client: Client, server: Server) -> None:
    server.replies = [Answer(201, {"status": {"allowed": False, "reason": "no RBAC policy matched"}})]
    answer = client.can_i("patch", "nodes", name="n", subresource="status")
    assert tuple(answer) == (False, "no RBAC policy matched")
    assert json.loads(server.asked[0].body)["spec"] == {
        "resourceAttributes": {"verb": "patch", "resource": "nodes", "name": "n", "subresource": "status"}
    }


# sentence, what /version answers, what is understood
VERSIONS: list[tuple[str, dict[str, str], Version]] = [
    ("upstream", {"gitVersion": "v1.34.4", "major": "1", "minor": "34"}, Version("v1.34.4", 1, 34)),
    ("a plus", {"gitVersion": "v1.31.2-gke.1", "major": "1", "minor": "31+"}, Version("v1.31.2-gke.1", 1, 31)),
    ("nothing but the name", {"gitVersion": "v9"}, Version("v9", 0, 0)),
]


@pytest.mark.parametrize(("told", "expected"), [c[1:] for c in VERSIONS], ids=[c[0] for c in VERSIONS])
def test_version(told: dict[str, str], expected: Version, client: Client, server: Server) -> None:
    server.replies = [Answer(200, told)]
    assert client.version() == expected


def test_kinds_outside_the_table_are_discovered_once(client: Client, server: Server) -> None:
    served = {
        "kind": "APIResourceList",
        "resources": [
            {"name": "clusterpolicies", "kind": "ClusterPolicy", "namespaced": False},
            {"name": "clusterpolicies/status", "kind": "ClusterPolicy", "namespaced": False},
            {"name": "../../secrets", "kind": "Trick", "namespaced": True},
        ],
    }
    server.replies = [Answer(200, served), OK]
    ref = Ref(api_version="nvidia.com/v1", kind="ClusterPolicy", name="c")
    client.get(ref)
    client.get(ref)
    assert [a.path for a in server.asked] == ["/apis/nvidia.com/v1"] + 2 * ["/apis/nvidia.com/v1/clusterpolicies/c"]
    server.replies = [Answer(200, served)]
    with pytest.raises(NotFound) as caught:
        client.get(Ref(api_version="nvidia.com/v1", kind="Trick", name="c", namespace="ns"))
    assert caught.value.what == "the cluster does not serve Trick in nvidia.com/v1"


def test_a_group_that_is_not_served(client: Client, server: Server) -> None:
    server.replies = [Answer(404, b"404 page not found\n", {"Content-Type": "text/plain"})]
    with pytest.raises(NotFound) as caught:
        client.get(Ref(api_version="nvidia.com/v1", kind="ClusterPolicy", name="c"))
    assert (caught.value.what, caught.value.next) == (
        "the cluster does not serve ClusterPolicy in nvidia.com/v1",
        "install its CustomResourceDefinition, or check the cluster's version",
    )


def test_get_tells_an_absent_object_from_an_absent_api(client: Client, server: Server) -> None:
    server.replies = [status(404, "NotFound", 'pods "p" not found', name="p", kind="pods")]
    assert client.get(POD) is None
    server.replies = [status(404, "NotFound", "the server could not find the requested resource")]
    with pytest.raises(NotFound, match="the cluster does not serve resourceslices"):
        client.get(Ref(api_version="resource.k8s.io/v1", kind="ResourceSlice", name="s"))


# sentence, what is called, what is said
REFUSED_HERE: list[tuple[str, Callable[[Client], Any], str]] = [
    ("a path for a name", lambda c: c.get(Ref(api_version="v1", kind="Node", name="../p")), "'../p' is no name"),
    ("a name that is a parent", lambda c: c.get(Ref(api_version="v1", kind="Node", name="..")), "'..' is no name"),
    ("an encoded slash", lambda c: c.get(Ref(api_version="v1", kind="Node", name="a%2fb")), "'a%2fb' is no name"),
    ("a hostile pod", lambda c: c.logs("ns", "p/../../x"), "'p/../../x' is no name"),
    ("no namespace", lambda c: c.get(Ref(api_version="v1", kind="Pod", name="p")), "Pod p names no namespace"),
    ("no name", lambda c: c.get(Ref(api_version="v1", kind="Node", name="")), "Node (no name) names no name"),
    ("an apiVersion that is a path", lambda c: c.list_objects("x/../v1", "Pod"), "'x/../v1' is no apiVersion"),
    ("an object without kind", lambda c: c.create({"apiVersion": "v1", "metadata": {}}), "an object lacks apiVersion"),
    ("metadata that is none", lambda c: c.create({"apiVersion": "v1", "kind": "P", "metadata": 1}), "an object lacks"),
    ("another host", lambda c: c.get_raw("https://evil.example/"), "'https://evil.example/' is no path"),
    (
        "replace without a state",
        lambda c: c.replace({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}),
        "node/n carries no resourceVersion",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "said"), [c[1:] for c in REFUSED_HERE], ids=[c[0] for c in REFUSED_HERE])
def test_what_is_never_sent(call: Callable[[Client], Any], said: str, client: Client, server: Server) -> None:
    with pytest.raises(UserError) as caught:
        call(client)
    assert caught.value.what.startswith(said)
    assert server.asked == []


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


HTML = {"Content-Type": "text/html; charset=utf-8"}
PROXY = "check the server address, and proxy settings (HTTPS_PROXY, NO_PROXY, proxy-url)"

# sentence, call, answer, what is said, what to do
ODD_ANSWERS: list[tuple[str, Callable[[Client], Any], Answer, str, str]] = [
    (
        "a proxy's page instead of an object",
        GET,
        Answer(200, b"<html>Sign in</html>", HTML),
        "the answer about pods/p in namespace ns is cut off or no JSON (JSON is malformed: invalid character (byte 0))",
        "a proxy between here and the API server may have replaced it; check HTTPS_PROXY and proxy-url",
    ),
    (
        "a proxy that refuses",
        GET,
        Answer(403, b"<html>Blocked</html>", HTML),
        "what answered at {url} is no Kubernetes API server (403, text/html; charset=utf-8)",
        PROXY,
    ),
    (
        "a gateway that wants a login",
        GET,
        Answer(302, b"", {"Location": "https://sso.example/login"}),
        "what answered at {url} is no Kubernetes API server (302, application/json, sending us to "
        "https://sso.example/login)",
        PROXY,
    ),
    (
        "a gateway's 401",
        GET,
        Answer(401, b"<html>", HTML),
        "{url} does not accept the credentials of user u (token, /k/config): a proxy or gateway answered, "
        "not the API server",
        "log in again, or get a new kubeconfig",
    ),
    (
        "JSON that ends in the middle",
        GET,
        Answer(200, b'{"kind": "Pod", "metad'),
        "the answer about pods/p in namespace ns is cut off or no JSON (Input data was truncated)",
        "a proxy between here and the API server may have replaced it; check HTTPS_PROXY and proxy-url",
    ),
    (
        "a list where an object belongs",
        GET,
        Answer(200, [1, 2]),
        "the answer about pods/p in namespace ns has another form than expected: Expected `object`, got `array`",
        "",
    ),
    (
        "gzip that is none",
        GET,
        Answer(200, b"nonsense", {"Content-Encoding": "gzip"}),
        "{url} sent an answer that cannot be unpacked",
        "check the address in the kubeconfig, the network and a VPN",
    ),
    (
        "plain text of the API server",
        GET,
        Answer(503, b"[+]ping ok\n[-]etcd failed: reason withheld\n", {"Content-Type": "text/plain"}),
        "the API server refused get pods/p in namespace ns (503): [+]ping ok [-]etcd failed: reason withheld",
        "",
    ),
    (
        "a pod that answers for itself",
        lambda c: c.proxy_get("ns", "p", 9400, "/x"),
        Answer(404, b"no such\npage", {"Content-Type": "text/plain"}),
        "pod ns/p port 9400 answered 404: no such page",
        "",
    ),
]


@pytest.mark.parametrize(
    ("call", "answer", "what", "todo"), [c[1:] for c in ODD_ANSWERS], ids=[c[0] for c in ODD_ANSWERS]
)
def test_an_odd_answer(
    call: Callable[[Client], Any], answer: Answer, what: str, todo: str, client: Client, server: Server
) -> None:
    server.replies = [answer]
    with pytest.raises(ApiError) as caught:
        call(client)
    assert (caught.value.what, caught.value.next) == (what.format(url=server.url), todo)


def test_a_huge_answer_is_not_taken_in(client: Client, server: Server) -> None:
    """64 MiB of zeros are 64 kB on the wire."""
    server.replies = [Answer(200, gzip.compress(bytes(70 << 20)), {"Content-Encoding": "gzip"})]
    with pytest.raises(ApiError) as caught:
        client.proxy_get("ns", "p", 1)
    assert caught.value.what == "the answer about pods/p (proxy) in namespace ns is larger than 64 MiB"


def test_a_huge_refusal_is_cut_off(client: Client, server: Server) -> None:
    server.replies = [Answer(400, b'{"kind":"Status","message":"' + b"x" * (5 << 20) + b'"}')]
    with pytest.raises(ApiError) as caught:
        client.get(POD)
    assert len(str(caught.value)) < 1500


def test_compression_as_the_kubeconfig_has_it(server: Server, clock: Clock) -> None:
    server.replies = [Answer(200, gzip.compress(b'{"kind":"Pod"}'), {"Content-Encoding": "gzip"}), OK]
    with client_of(server.url, clock) as client, client_of(server.url, clock, compress=False) as plain:
        assert client.get(POD) == {"kind": "Pod"}
        plain.get(POD)
    assert [a.header("accept-encoding") for a in server.asked] == ["gzip", "identity"]


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def test_nothing_listens(clock: Clock) -> None:
    url = f"https://127.0.0.1:{free_port()}"
    with client_of(url, clock) as client, pytest.raises(Unreachable) as caught:
        client.version()
    assert (str(caught.value), clock.slept) == (
        f"nothing listens at {url} (connection refused); check the address in the kubeconfig, the network and a VPN",
        [],
    )


def test_a_name_without_an_address(clock: Clock) -> None:
    with client_of("https://no-such-host.invalid:6443", clock) as client, pytest.raises(Unreachable) as caught:
        client.version()
    assert caught.value.what == (
        "the name no-such-host.invalid has no address (DNS), so https://no-such-host.invalid:6443 cannot be reached"
    )


def test_no_answer_in_time(server: Server, client: Client) -> None:
    held = threading.Event()

    def late(_: Asked) -> Answer:
        held.wait(5)
        return OK

    server.replies = [late]
    call = requests.create(requests.PODS, POD, {"metadata": {}}, dry_run=False, manager="")
    with pytest.raises(Unreachable) as caught:
        client._transport.send(replace(call, read_seconds=0.2))
    held.set()
    assert (caught.value.what, caught.value.maybe_done) == (
        f"{server.url} took the request and did not answer in time; "
        "whether create pods/p in namespace ns was done is not known",
        True,
    )


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
