"""Each way a kubeconfig can say who we are and where the server is, seen from a TLS server that records what came."""

from __future__ import annotations

import base64
import http.server
import json
import os
import select
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kube_double import DAY, NOW, Answer, Asked, Authority, Pair, Server, kubeconfig, status

from gpuready.adapters import kube_exec, kube_tls
from gpuready.adapters.kube import Client, connect
from gpuready.adapters.kube_auth import Login
from gpuready.adapters.kube_connection import choose
from gpuready.model.errors import ApiError, Unauthorized, Unreachable, UserError

CA = Authority()
OTHER_CA = Authority("other-ca")
SERVER = CA.issue("server", ("127.0.0.1", "localhost", "api.example"))
ALICE = CA.issue("alice")
BOB = CA.issue("bob")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def jwt(ends: float) -> str:
    parts = [{"alg": "none"}, {"exp": ends, "sub": "alice"}]
    return ".".join([base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts] + ["c2ln"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(SERVER, tmp_path, client_ca=CA.pem)
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def trusting(server: Server, **more: Any) -> dict[str, Any]:
    return {"server": server.url, "certificate-authority-data": b64(CA.pem), **more}


def plugin(folder: Path, *answers: dict[str, Any], version: str = "v1", **spec: Any) -> dict[str, Any]:
    """users[].user.exec: a program that gives its answers in turn and notes what it was told."""
    program = folder / "get-token"
    listed = [
        {"apiVersion": f"client.authentication.k8s.io/{version}", "kind": "ExecCredential", "status": answer}
        for answer in answers
    ]
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, pathlib, sys\n"
        f"here = pathlib.Path({str(folder)!r})\n"
        "told = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "note = here / 'told.json'\n"
        "seen = json.loads(note.read_text()) if note.exists() else []\n"
        "note.write_text(json.dumps([*seen, [sys.argv[1:], os.environ.get('REGION'), told]]))\n"
        f"answers = json.loads({json.dumps(listed)!r})\n"
        "print(json.dumps(answers[min(len(seen), len(answers) - 1)]))\n"
    )
    program.chmod(0o755)
    mode = {"interactiveMode": "Never"} if version == "v1" else {}
    return {"command": str(program), "apiVersion": f"client.authentication.k8s.io/{version}"} | mode | spec


def told(folder: Path) -> list[Any]:
    return list(json.loads((folder / "told.json").read_text()))


class Seen(NamedTuple):
    """What a request showed of us: Authorization, name in the client certificate, Impersonate-* headers."""

    authorization: str = ""
    client: str = ""
    impersonate: tuple[tuple[str, str], ...] = ()


def seen(asked: Asked) -> Seen:
    acting = sorted((k, ", ".join(v)) for k, v in asked.headers.items() if k.startswith("impersonate-"))
    return Seen(asked.header("authorization"), asked.client, tuple(acting))


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return path.name  # relative to the kubeconfig, which lies beside it


# sentence, user entry made in a folder, what the server sees
USERS: list[tuple[str, Callable[[Path], dict[str, Any]], Seen]] = [
    ("a static token", lambda _: {"token": "abc"}, Seen("Bearer abc")),
    ("a tokenFile beside the kubeconfig", lambda d: {"tokenFile": write(d / "t", b"abc\n")}, Seen("Bearer abc")),
    (
        "a tokenFile wins over a token",
        lambda d: {"token": "old", "tokenFile": write(d / "t", b"new")},
        Seen("Bearer new"),
    ),
    ("a token stands in for a lost tokenFile", lambda _: {"token": "abc", "tokenFile": "no"}, Seen("Bearer abc")),
    (
        "user name and password",
        lambda _: {"username": "ann", "password": "p:w"},
        Seen(f"Basic {b64(b'ann:p:w')}"),
    ),
    (
        "a client certificate as data",
        lambda _: {"client-certificate-data": b64(ALICE.cert), "client-key-data": b64(ALICE.key)},
        Seen(client="alice"),
    ),
    (
        "a client certificate as files beside the kubeconfig",
        lambda d: {"client-certificate": write(d / "c", ALICE.cert), "client-key": write(d / "k", ALICE.key)},
        Seen(client="alice"),
    ),
    (
        "data wins over a file",
        lambda d: {
            "client-certificate": write(d / "c", BOB.cert), "client-certificate-data": b64(ALICE.cert),
            "client-key-data": b64(ALICE.key),
        },
        Seen(client="alice"),
    ),
    (
        "base64 data broken into lines",
        lambda _: {
            "client-certificate-data": "\n".join(b64(ALICE.cert)[i : i + 60] for i in range(0, 2000, 60)),
            "client-key-data": b64(ALICE.key),
        },
        Seen(client="alice"),
    ),
    ("exec v1, token", lambda d: {"exec": plugin(d, {"token": "xyz"})}, Seen("Bearer xyz")),
    ("exec v1beta1, token", lambda d: {"exec": plugin(d, {"token": "xyz"}, version="v1beta1")}, Seen("Bearer xyz")),
    (
        "exec, client certificate",
        lambda d: {
            "exec": plugin(
                d, {"clientCertificateData": ALICE.cert.decode(), "clientKeyData": ALICE.key.decode()}
            )
        },
        Seen(client="alice"),
    ),
    (
        "exec with a path relative to the kubeconfig",
        lambda d: {"exec": {**plugin(d, {"token": "xyz"}), "command": "./get-token"}},
        Seen("Bearer xyz"),
    ),
    ("a token wins over exec", lambda d: {"token": "abc", "exec": plugin(d, {"token": "xyz"})}, Seen("Bearer abc")),
    (
        "the id-token of the removed oidc auth-provider while it is good",
        lambda _: {"auth-provider": {"name": "oidc", "config": {"id-token": jwt(4e9)}}},
        Seen(f"Bearer {jwt(4e9)}"),
    ),
    (
        "impersonation of user, uid, groups and extra",
        lambda _: {
            "token": "abc", "as": "system:serviceaccount:a:b", "as-uid": "7", "as-groups": ["g1", "g2"],
            "as-user-extra": {"scopes/x": ["view", "own"]},
        },
        Seen(
            "Bearer abc",
            impersonate=(
                ("impersonate-extra-scopes%2fx", "view, own"),
                ("impersonate-group", "g1, g2"),
                ("impersonate-uid", "7"),
                ("impersonate-user", "system:serviceaccount:a:b"),
            ),
        ),
    ),
    ("nobody at all", lambda _: {}, Seen()),
]  # fmt: skip


@pytest.mark.parametrize(("user", "expected"), [c[1:] for c in USERS], ids=[c[0] for c in USERS])
def test_the_server_sees(
    user: Callable[[Path], dict[str, Any]], expected: Seen, server: Server, tmp_path: Path
) -> None:
    with connect(kubeconfig(tmp_path, trusting(server), user(tmp_path))) as cluster:
        assert cluster.list_objects("v1", "Namespace") == []
    assert [seen(a) for a in server.asked] == [expected]


def test_exec_is_told_of_the_cluster_and_given_args_and_env(server: Server, tmp_path: Path) -> None:
    spec = plugin(
        tmp_path, {"token": "xyz"}, provideClusterInfo=True, args=["get"], env=[{"name": "REGION", "value": "eu"}]
    )  # fmt: skip
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "prod"}}
    cluster = trusting(server, **{"tls-server-name": "api.example", "extensions": [extension]})
    with connect(kubeconfig(tmp_path, cluster, {"exec": spec})) as client:
        client.list_objects("v1", "Namespace")
    info = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {
                "server": server.url,
                "tls-server-name": "api.example",
                "certificate-authority-data": b64(CA.pem),
                "config": {"audience": "prod"},
            },
        },
    }
    assert told(tmp_path) == [[["get"], "eu", info]]


# sentence, interactiveMode, whether there is a terminal, what the plugin is told
MODES: list[tuple[str, str, bool, bool]] = [
    ("it may ask, and can", "IfAvailable", True, True),
    ("it may ask, and cannot", "IfAvailable", False, False),
    ("it must ask, and can", "Always", True, True),
    ("it never asks", "Never", True, False),
]


@pytest.mark.parametrize(("mode", "terminal", "interactive"), [c[1:] for c in MODES], ids=[c[0] for c in MODES])
def test_exec_is_told_whether_it_can_ask(
    mode: str, terminal: bool, interactive: bool, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdin, "isatty", lambda: terminal, raising=False)
    spec = plugin(tmp_path, {"token": "xyz"}, interactiveMode=mode)
    with connect(kubeconfig(tmp_path, trusting(server), {"exec": spec})) as client:
        client.list_objects("v1", "Namespace")
    assert [note[2]["spec"] for note in told(tmp_path)] == [{"interactive": interactive}]


def test_exec_runs_once_until_its_credential_ends(server: Server, tmp_path: Path) -> None:
    ends = [(NOW + DAY).strftime("%Y-%m-%dT%H:%M:%SZ"), (NOW + 3 * DAY).strftime("%Y-%m-%dT%H:%M:%SZ")]
    answers = [{"token": f"t{i}", "expirationTimestamp": end} for i, end in enumerate(ends)]
    clock = [NOW.timestamp()]
    login = Login(
        choose(kubeconfig(tmp_path, trusting(server), {"exec": plugin(tmp_path, *answers)})), lambda: clock[0]
    )
    bearers = []
    for hours in (0, 23, 25, 30):
        clock[0] = NOW.timestamp() + hours * 3600
        bearers.append(dict(login.current().headers)[b"Authorization"])
    assert bearers == [b"Bearer t0", b"Bearer t0", b"Bearer t1", b"Bearer t1"]
    assert len(told(tmp_path)) == 2


def test_a_401_runs_exec_again_once_and_repeats_the_request(server: Server, tmp_path: Path) -> None:
    server.replies.insert(0, status(401, "Unauthorized", "Unauthorized"))
    spec = plugin(tmp_path, {"token": "stale"}, {"token": "fresh"})
    with connect(kubeconfig(tmp_path, trusting(server), {"exec": spec})) as client:
        client.list_objects("v1", "Namespace")
    assert [seen(a) for a in server.asked] == [Seen("Bearer stale"), Seen("Bearer fresh")]


def test_a_401_for_good_is_told_after_one_renewal(server: Server, tmp_path: Path) -> None:
    server.replies = [status(401, "Unauthorized", "Unauthorized")]
    path = kubeconfig(tmp_path, trusting(server), {"exec": plugin(tmp_path, {"token": "t1"}, {"token": "t2"})})
    with connect(path) as client, pytest.raises(Unauthorized) as caught:
        client.list_objects("v1", "Namespace")
    assert (caught.value.what, caught.value.next) == (
        f"{server.url} does not accept the credentials of user u (credential plugin get-token, {path})",
        "log in again, or get a new kubeconfig",
    )
    assert [seen(a) for a in server.asked] == [Seen("Bearer t1"), Seen("Bearer t2")]


def test_a_renewed_client_certificate_makes_new_connections(server: Server, tmp_path: Path) -> None:
    grants = [{"clientCertificateData": p.cert.decode(), "clientKeyData": p.key.decode()} for p in (ALICE, BOB)]
    server.replies.insert(0, status(401, "Unauthorized", "Unauthorized"))
    with connect(kubeconfig(tmp_path, trusting(server), {"exec": plugin(tmp_path, *grants)})) as client:
        client.list_objects("v1", "Namespace")
    assert [seen(a) for a in server.asked] == [Seen(client="alice"), Seen(client="bob")]


def test_many_threads_that_are_refused_run_exec_once(server: Server, tmp_path: Path) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.header("authorization") == "Bearer stale":
            return status(401, "Unauthorized", "Unauthorized")
        return Answer(200, {"metadata": {}, "items": []})

    server.replies = [answer]
    spec = plugin(tmp_path, {"token": "stale"}, {"token": "fresh"})
    with connect(kubeconfig(tmp_path, trusting(server), {"exec": spec})) as client:
        threads = [threading.Thread(target=client.list_objects, args=("v1", "Namespace")) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert len(told(tmp_path)) == 2
    assert [seen(a) for a in server.asked].count(Seen("Bearer fresh")) == 8


def test_a_token_file_is_read_again(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")
    clock = [1000.0]
    login = Login(choose(kubeconfig(tmp_path, trusting(server), {"tokenFile": str(file)})), lambda: clock[0])
    first = login.current()
    file.write_text("two")
    soon, clock[0] = login.current(), clock[0] + 61
    later = login.current()
    assert [dict(i.headers)[b"Authorization"] for i in (first, soon, later)] == [
        b"Bearer one", b"Bearer one", b"Bearer two",
    ]  # fmt: skip


def test_a_token_file_is_read_again_after_a_401(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("one")

    def refuse(_: Asked) -> Answer:
        file.write_text("two")
        return status(401, "Unauthorized", "Unauthorized")

    server.replies.insert(0, refuse)
    with connect(kubeconfig(tmp_path, trusting(server), {"tokenFile": str(file)})) as client:
        client.list_objects("v1", "Namespace")
    assert [seen(a) for a in server.asked] == [Seen("Bearer one"), Seen("Bearer two")]


# sentence, exec entry changed how, what is said, what to do
BROKEN_PLUGINS: list[tuple[str, Callable[[Path], dict[str, Any]], str, str]] = [
    (
        "it is not installed",
        lambda _: {"command": "gpuready-no-such-plugin", "installHint": "Get it at\nexample.org"},
        "credential plugin gpuready-no-such-plugin of user u cannot be started: No such file or directory",
        "Get it at example.org",
    ),
    (
        "it fails, and its last words are shown without secrets",
        lambda _: {"command": "/bin/sh", "args": ["-c", "echo 'denied: Bearer abcdef' >&2; exit 3"]},
        "credential plugin sh of user u failed with exit code 3: denied: Bearer [hidden]",
        "log in again with that tool",
    ),
    (
        "it prints something else",
        lambda _: {"command": "/bin/echo", "args": ["hello"]},
        "credential plugin echo of user u printed no ExecCredential",
        "run /bin/echo by hand; `kubectl get ns` must work first",
    ),
    (
        "it answers in another version",
        lambda d: (
            plugin(d, {"token": "t"}, version="v1beta1")
            | {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
        ),
        "credential plugin get-token of user u answered ExecCredential client.authentication.k8s.io/v1beta1, "
        "the kubeconfig expects ExecCredential client.authentication.k8s.io/v1",
        "correct exec.apiVersion in {kubeconfig}",
    ),
    (
        "it grants nothing",
        lambda d: plugin(d, {}),
        "credential plugin get-token of user u granted neither a token nor a certificate",
        "run {folder}/get-token by hand; `kubectl get ns` must work first",
    ),
    (
        "it grants half a pair",
        lambda d: plugin(d, {"clientCertificateData": "x"}),
        "credential plugin get-token of user u granted a certificate without its key, or a key alone",
        "run {folder}/get-token by hand; `kubectl get ns` must work first",
    ),
    (
        "its version is too old",
        lambda d: plugin(d, {"token": "t"}, version="v1alpha1"),
        "exec.apiVersion of credential plugin get-token of user u is client.authentication.k8s.io/v1alpha1; "
        "Kubernetes knows client.authentication.k8s.io/v1 and client.authentication.k8s.io/v1beta1",
        "update the plugin and exec.apiVersion in {kubeconfig}",
    ),
    (
        "v1 demands an interactiveMode",
        lambda d: plugin(d, {"token": "t"}) | {"interactiveMode": ""},
        "exec.interactiveMode of credential plugin get-token of user u must be one of Never, IfAvailable, Always",
        "correct it in {kubeconfig}",
    ),
    (
        "it must ask, and there is no terminal",
        lambda d: plugin(d, {"token": "t"}) | {"interactiveMode": "Always"},
        "credential plugin get-token of user u must ask at a terminal, and standard input is none",
        "run this from a terminal",
    ),
]


@pytest.mark.parametrize(("spec", "what", "todo"), [c[1:] for c in BROKEN_PLUGINS], ids=[c[0] for c in BROKEN_PLUGINS])
def test_a_plugin_that_fails(
    spec: Callable[[Path], dict[str, Any]], what: str, todo: str, server: Server, tmp_path: Path
) -> None:
    entry = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", **spec(tmp_path)}
    path = kubeconfig(tmp_path, trusting(server), {"exec": entry})
    with connect(path) as client, pytest.raises(UserError) as caught:
        client.list_objects("v1", "Namespace")
    assert (caught.value.what, caught.value.next) == (what, todo.format(kubeconfig=path, folder=tmp_path))


def test_a_plugin_that_hangs_is_ended_with_all_its_children(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kube_exec, "ALONE_SECONDS", 0.5)
    note = tmp_path / "pid"
    spec = {
        "command": "/bin/sh", "args": ["-c", f"sleep 60 & echo $! > {note}; wait"], "interactiveMode": "Never",
        "apiVersion": "client.authentication.k8s.io/v1",
    }  # fmt: skip
    with (
        connect(kubeconfig(tmp_path, trusting(server), {"exec": spec})) as client,
        pytest.raises(UserError, match="did not answer within"),
    ):
        client.list_objects("v1", "Namespace")
    pid = int(note.read_text())
    for _ in range(100):
        if not _runs(pid):
            break
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# sentence, user entry, what is said
BROKEN_USERS: list[tuple[str, dict[str, Any], str]] = [
    (
        "an OIDC id-token that has ended",
        {"auth-provider": {"name": "oidc", "config": {"id-token": jwt(1e9)}}},
        "the OIDC id-token of user u ({path}) has expired; "
        "log in again with your provider's tool, or use a credential plugin (kubelogin)",
    ),
    (
        "an OIDC provider without an id-token",
        {"auth-provider": {"name": "oidc", "config": {"refresh-token": "r"}}},
        "the OIDC id-token of user u ({path}) is missing; "
        "log in again with your provider's tool, or use a credential plugin (kubelogin)",
    ),
    (
        "a provider plugin that is no more",
        {"auth-provider": {"name": "gcp"}},
        "user u ({path}) uses auth-provider gcp, which Kubernetes 1.26 removed; "
        "write the kubeconfig again with your provider's tool; it then has a credential plugin",
    ),
    ("token and password", {"token": "a", "username": "b"}, "user u ({path}) has a token and a password; remove one"),
    (
        "groups without a user to act as",
        {"token": "a", "as-groups": ["g"]},
        "{path}: as-uid, as-groups or as-user-extra without as; add the user to act as",
    ),
    (
        "a line break that would begin another header",
        {"token": "a", "as": "bob\r\nImpersonate-Group: system:masters"},
        "{path}: as holds a line break or control character; correct it",
    ),
    (
        "a certificate without its key",
        {"client-certificate-data": b64(ALICE.cert)},
        "{path}: the user has half a client certificate, no client-key; add the other half",
    ),
    (
        "a key of another certificate",
        {"client-certificate-data": b64(ALICE.cert), "client-key-data": b64(BOB.key)},
        "the client certificate of user u ({path}) does not belong to its key; write both again",
    ),
    (
        "a certificate that is no PEM",
        {"client-certificate-data": b64(b"junk"), "client-key-data": b64(ALICE.key)},
        "the client certificate of user u ({path}) or its key is no PEM, or is locked with a password; "
        "write both again",
    ),
    (
        "data that is no base64",
        {"client-certificate-data": "***", "client-key-data": b64(ALICE.key)},
        "{path}: client-certificate-data is not base64; write the kubeconfig again, or name a file instead of data",
    ),
    (
        "a token file that is not there",
        {"tokenFile": "/nonexistent/token"},
        "/nonexistent/token (tokenFile) cannot be read: No such file or directory; check the path and its permissions",
    ),
]


@pytest.mark.parametrize(("user", "said"), [c[1:] for c in BROKEN_USERS], ids=[c[0] for c in BROKEN_USERS])
def test_a_user_entry_that_cannot_work(user: dict[str, Any], said: str, server: Server, tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, trusting(server), user)
    with pytest.raises(UserError) as caught, connect(path) as client:
        client.list_objects("v1", "Namespace")
    assert str(caught.value) == said.format(path=path)
    assert server.asked == []


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


def test_secrets_are_in_no_repr(server: Server, tmp_path: Path) -> None:
    user = {
        "token": "s3cr3t-token", "client-certificate-data": b64(ALICE.cert), "client-key-data": b64(ALICE.key),
        "exec": plugin(tmp_path, {"token": "x"}, env=[{"name": "PASS", "value": "s3cr3t-env"}]),
    }  # fmt: skip
    cluster = trusting(server, **{"proxy-url": "http://me:s3cr3t-proxy@127.0.0.1:1"})
    connection = choose(kubeconfig(tmp_path, cluster, user))
    login = Login(connection)
    shown = f"{connection!r} {connection.user!r} {connection.user.exec!r} {login.current()!r} {login!r}"
    assert [s for s in ("s3cr3t", b64(ALICE.key)[:40]) if s in shown] == []


# the way to the server


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
        "renew it on the server (kubeadm certs check-expiration)",
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


def test_an_error_never_holds_the_token(server: Server, tmp_path: Path) -> None:
    server.replies = [status(400, "BadRequest", "odd header: Bearer opaque-token-77, or opaque-token-77 alone")]
    path = kubeconfig(tmp_path, trusting(server), {"token": "opaque-token-77"})
    with connect(path) as client, pytest.raises(ApiError) as caught:
        client.version()
    assert (str(caught.value), caught.value.message) == (
        "the API server refused get /version (400 BadRequest): odd header: Bearer [hidden], or [hidden] alone",
        "odd header: Bearer [hidden], or [hidden] alone",
    )


def test_in_a_pod_the_service_account_is_used(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "serviceaccount"
    folder.mkdir()
    (folder / "token").write_text("pod-token\n")
    (folder / "ca.crt").write_bytes(CA.pem)
    (folder / "namespace").write_text("ml\n")
    env = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port), "HOME": str(tmp_path)}
    connection = choose(env=env, service_account=folder)
    assert (connection.server, connection.namespace, connection.context) == (server.url, "ml", "")
    monkeypatch.setattr("gpuready.adapters.kube.choose", lambda *_, **__: connection)
    with connect() as client:
        assert isinstance(client, Client)
        client.list_objects("v1", "Namespace")
    assert [seen(a) for a in server.asked] == [Seen("Bearer pod-token")]
