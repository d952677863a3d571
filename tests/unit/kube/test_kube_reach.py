"""What is said when no good answer comes: odd, huge, cut off, late, or none at all."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from kube_client_of import OK, POD, Clock, client_of
from kube_double import Answer, Asked, Server
from msgspec.structs import replace

from gpuready.adapters import kube_requests as requests
from gpuready.adapters.kube import Client
from gpuready.model.errors import ApiError, Unreachable

GET: Callable[[Client], Any] = lambda c: c.get(POD)  # noqa: E731
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
    (
        "a pod that wants other credentials than ours",
        lambda c: c.proxy_get("ns", "p", 9400, "/x"),
        Answer(401, b"", {"Content-Type": "text/plain"}),
        "pod ns/p port 9400 answered 401: nothing more",
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
