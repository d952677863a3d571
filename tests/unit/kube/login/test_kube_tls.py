"""The way to the server: names, authorities, certificates of both sides, proxies."""

from __future__ import annotations

import http.server
import os
import select
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kube_double import DAY, NOW, Pair, Server, kubeconfig, status
from kube_users import (
    CA,
    OTHER_CA,
    SERVER,
    b64,
    trusting,
)

from gpuready.adapters import kube_tls
from gpuready.adapters.kube import connect
from gpuready.model.errors import Unauthorized, Unreachable


def test_private_keys_never_lie_in_a_named_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux: in memory. Elsewhere: a file that only we can read and that is gone when OpenSSL has read it."""
    seen_paths: list[tuple[str, int]] = []
    with kube_tls._private_file(b"key") as path:
        assert Path(path).read_bytes() == b"key"
        assert os.readlink(path).startswith("/memfd:")
    monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with kube_tls._private_file(b"key") as path:
        seen_paths.append((path, stat.S_IMODE(os.stat(path).st_mode)))
        assert Path(path).read_bytes() == b"key"
    assert seen_paths[0][1] == 0o600
    assert list(tmp_path.iterdir()) == []


def test_tls_server_name_is_asked_for_and_checked(tmp_path: Path) -> None:
    server = Server(CA.issue("server", ("only.example",)), tmp_path)
    cluster = trusting(server, **{"tls-server-name": "only.example"})
    with connect(kubeconfig(tmp_path, cluster, {})) as client:
        client.list_objects("v1", "Namespace")
    server.close()
    assert len(server.asked) == 1


class Tunnel:
    """An HTTP proxy that knows CONNECT; notes targets and credentials."""

    def __init__(self) -> None:
        notes: list[tuple[str, str]] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_CONNECT(self) -> None:
                notes.append((self.path, self.headers.get("Proxy-Authorization", "")))
                host, _, port = self.path.rpartition(":")
                try:
                    far = socket.create_connection((host, int(port)), timeout=5)
                except OSError:
                    self.send_error(502, "no way")
                    return
                self.send_response(200)
                self.end_headers()
                pair = [self.connection, far]
                while True:
                    ready, _, _ = select.select(pair, [], [], 5)
                    if not ready:
                        return
                    for end in ready:
                        data = end.recv(65536)
                        if not data:
                            far.close()
                            self.close_connection = True
                            return
                        pair[1 - pair.index(end)].sendall(data)

            def log_message(self, *_: object) -> None: ...

        self.notes = notes
        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def tunnel() -> Iterator[Tunnel]:
    tunnel = Tunnel()
    yield tunnel
    tunnel.close()


def test_proxy_url_is_used_also_with_a_password_and_tls_server_name(tmp_path: Path, tunnel: Tunnel) -> None:
    server = Server(CA.issue("server", ("only.example",)), tmp_path)
    cluster = trusting(
        server, **{"proxy-url": f"http://me:pw@127.0.0.1:{tunnel.port}", "tls-server-name": "only.example"}
    )
    with connect(kubeconfig(tmp_path, cluster, {})) as client:
        client.list_objects("v1", "Namespace")
    server.close()
    assert tunnel.notes == [(f"127.0.0.1:{server.port}", f"Basic {b64(b'me:pw')}")]


def test_a_proxy_that_cannot_get_through_is_named_without_its_password(tmp_path: Path, tunnel: Tunnel) -> None:
    cluster = {"server": "https://127.0.0.1:1", "proxy-url": f"http://me:pw@127.0.0.1:{tunnel.port}"}
    with connect(kubeconfig(tmp_path, cluster, {})) as client, pytest.raises(Unreachable) as caught:
        client.version()
    assert str(caught.value) == (
        f"the proxy refused the way to https://127.0.0.1:1 (through proxy-url http://127.0.0.1:{tunnel.port}): "
        f"502 no way; check proxy-url http://127.0.0.1:{tunnel.port}, and NO_PROXY"
    )


def test_insecure_is_used_and_can_be_seen(tmp_path: Path) -> None:
    server = Server(OTHER_CA.issue("server", ("elsewhere.example",)), tmp_path)
    with connect(kubeconfig(tmp_path, {"server": server.url, "insecure-skip-tls-verify": True}, {})) as client:
        client.list_objects("v1", "Namespace")
        assert client.insecure
    server.close()
    assert len(server.asked) == 1


def test_a_ca_that_is_an_intermediate_is_trusted_as_in_go(server: Server, tmp_path: Path) -> None:
    """The server's own certificate named as the authority: what self-made clusters do."""
    with connect(kubeconfig(tmp_path, {"server": server.url, "certificate-authority-data": b64(SERVER.cert)}, {})) as c:
        c.list_objects("v1", "Namespace")
    assert len(server.asked) == 1


# sentence, server's certificate, cluster entry, what is said, what to do
HANDSHAKES: list[tuple[str, Pair, dict[str, Any], str, str]] = [
    (
        "another authority",
        OTHER_CA.issue("server", ("127.0.0.1",)),
        {"certificate-authority-data": b64(CA.pem)},
        "the certificate of {url} is not signed by the kubeconfig's certificate-authority",
        "check that cluster k of the kubeconfig belongs to this server",
    ),
    (
        "no authority in the kubeconfig",
        SERVER,
        {},
        "the certificate of {url} is not signed by the system's authorities",
        "check that cluster k of the kubeconfig belongs to this server",
    ),
    (
        "a server certificate that has ended",
        CA.issue("server", ("127.0.0.1",), ends=NOW - DAY),
        {"certificate-authority-data": b64(CA.pem)},
        "the certificate of {url} has expired",
        "renew the API server's certificate",
    ),
    (
        "a server certificate that has not begun",
        CA.issue("server", ("127.0.0.1",), ends=NOW + 90 * DAY),
        {"certificate-authority-data": b64(CA.pem)},
        "the certificate of {url} is not valid yet (this clock says {now})",
        "compare the clocks",
    ),
    (
        "a name that is not in the certificate, and those that are",
        CA.issue("server", ("kubernetes.default", "10.96.0.1")),
        {"certificate-authority-data": b64(CA.pem)},
        "the certificate of {url} is not valid for 127.0.0.1; it is valid for kubernetes.default, 10.96.0.1",
        "set tls-server-name of cluster k to a name of the certificate",
    ),
    (
        "tls-server-name that is not in the certificate",
        SERVER,
        {"certificate-authority-data": b64(CA.pem), "tls-server-name": "wrong.example"},
        "the certificate of {url} is not valid for wrong.example; "
        "it is valid for 127.0.0.1, localhost, api.example",
        "set tls-server-name of cluster k to a name of the certificate",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pair", "cluster", "what", "todo"), [c[1:] for c in HANDSHAKES], ids=[c[0] for c in HANDSHAKES]
)
def test_a_handshake_that_we_refuse(pair: Pair, cluster: dict[str, Any], what: str, todo: str, tmp_path: Path) -> None:
    server = Server(pair, tmp_path)
    with (
        connect(kubeconfig(tmp_path, {"server": server.url, **cluster}, {})) as client,
        pytest.raises(Unreachable) as caught,
    ):
        client.version()
    server.close()
    today = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
    assert (caught.value.what, caught.value.next) == (what.format(url=server.url, now=today), todo)
    assert server.asked == []


# sentence, client certificate, what is said
CLIENTS: list[tuple[str, Pair | None, str]] = [
    ("one that has ended", CA.issue("alice", ends=NOW - DAY), "the client certificate of user u expired {day} ({url})"),
    (
        "one of an authority the server does not know",
        OTHER_CA.issue("alice"),
        "{url} does not know the authority that signed our client certificate",
    ),
    ("none where one is demanded", None, "{url} demands a client certificate, and user u has none"),
]


@pytest.mark.parametrize(("pair", "said"), [c[1:] for c in CLIENTS], ids=[c[0] for c in CLIENTS])
def test_a_client_certificate_that_the_server_refuses(pair: Pair | None, said: str, tmp_path: Path) -> None:
    server = Server(SERVER, tmp_path, client_ca=CA.pem, demand=True)
    user = {"client-certificate-data": b64(pair.cert), "client-key-data": b64(pair.key)} if pair else {}
    with connect(kubeconfig(tmp_path, trusting(server), user)) as client, pytest.raises(Unreachable) as caught:
        client.version()
    server.close()
    day = (NOW - DAY).strftime("%Y-%m-%d %H:%M UTC")
    assert (caught.value.what, caught.value.next) == (
        said.format(url=server.url, day=day),
        "get a new kubeconfig for this user",
    )


def test_an_expired_client_certificate_that_the_server_answers_with_401(tmp_path: Path) -> None:
    """The API server asks for certificates without checking them in the handshake."""
    server = Server(SERVER, tmp_path)
    server.replies = [status(401, "Unauthorized", "Unauthorized")]
    pair = CA.issue("alice", ends=NOW - DAY)
    user = {"client-certificate-data": b64(pair.cert), "client-key-data": b64(pair.key)}
    path = kubeconfig(tmp_path, trusting(server), user)
    with connect(path) as client, pytest.raises(Unauthorized) as caught:
        client.version()
    server.close()
    assert caught.value.what == (
        f"{server.url} does not accept the credentials of user u (client certificate, {path}): "
        f"the certificate expired {(NOW - DAY):%Y-%m-%d %H:%M} UTC"
    )


def test_a_server_without_tls(tmp_path: Path) -> None:
    server = Server(None, tmp_path)
    address = server.url.replace("http:", "https:")
    with connect(kubeconfig(tmp_path, {"server": address}, {})) as client, pytest.raises(Unreachable) as caught:
        client.version()
    server.close()
    assert caught.value.what == f"{address} does not speak TLS"
