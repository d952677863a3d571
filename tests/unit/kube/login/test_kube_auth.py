"""Each way a kubeconfig can say who we are, seen from a TLS server that records what came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kube_double import Answer, Asked, Server, kubeconfig, status
from kube_users import (
    ALICE,
    BOB,
    CA,
    Seen,
    b64,
    jwt,
    plugin,
    seen,
    trusting,
    write,
)

from gpuready.adapters.kube import Client, connect
from gpuready.adapters.kube_auth import Login
from gpuready.adapters.kube_connection import choose
from gpuready.model.errors import ApiError, Unauthorized, UserError

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
