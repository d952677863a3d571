"""Credential plugins: what they are told, when they run, and what is said when they fail."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kube_double import DAY, NOW, Answer, Asked, Server, kubeconfig, status
from kube_users import (
    ALICE,
    BOB,
    CA,
    Seen,
    b64,
    plugin,
    seen,
    told,
    trusting,
)

from gpuready.adapters import kube_exec
from gpuready.adapters.kube import connect
from gpuready.adapters.kube_auth import Login
from gpuready.adapters.kube_connection import choose
from gpuready.model.errors import UserError


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
