"""Logins at a registry: kept in every way that docker and podman know, used where they belong, never shown."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import ClassVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from registry_double import (
    HTPASSWD,
    PASSWORD,
    Hostile,
    RunRegistry,
    TokenServer,
    basic,
    certificate,
    needs_registry,
    save_login,
    serving,
    target,
)

from gpuready.adapters import oci, registry
from gpuready.adapters.oci import Image
from gpuready.model.errors import UserError


@needs_registry
def test_logins_with_name_and_password(image: Image, run_registry: RunRegistry, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    host = run_registry(f"auth: {{htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}}}")
    with pytest.raises(UserError) as none:
        registry.push(image, target(host), plain_http=True)
    assert none.value.what == f"{host}/infra/gpuready wants a login (UNAUTHORIZED: authentication required)"
    assert none.value.next == f"docker login {host} (read from ~/.docker/config.json or $REGISTRY_AUTH_FILE)"

    save_login(tmp_path, host, auth=basic("pusher", "wrong-secret"))
    with pytest.raises(UserError) as wrong:
        registry.push(image, target(host), plain_http=True)
    file = tmp_path / "docker" / "config.json"
    said = f"{host}/infra/gpuready refused the login of {file} (UNAUTHORIZED: authentication required)"
    assert wrong.value.what == said
    assert "wrong-secret" not in str(wrong.value)

    save_login(tmp_path, host, auth=basic("pusher", PASSWORD))
    assert registry.push(image, target(host), plain_http=True).uploaded == image.size


@needs_registry
def test_logins_kept_in_every_way_that_docker_and_podman_know(
    image: Image, run_registry: RunRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "htpasswd").write_text(HTPASSWD)
    host = run_registry(f"auth: {{htpasswd: {{realm: test, path: {tmp_path}/htpasswd}}}}")
    helper = tmp_path / "bin" / "docker-credential-safe"
    helper.parent.mkdir()
    answer = json.dumps({"ServerURL": host, "Username": "pusher", "Secret": PASSWORD})
    helper.write_text(f"""#!/bin/sh\nread -r server\n[ "$server" = {host} ] || exit 1\necho '{answer}'\n""")
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    right, wrong = {"auth": basic("pusher", PASSWORD)}, {"auth": basic("pusher", "wrong")}
    ways = {
        "by the host's name": {"auths": {host: right}},
        "by its URL": {"auths": {f"https://{host}": right}},
        "by the most specific path, before the host": {"auths": {host: wrong, f"{host}/infra": right}},
        "name and password apart": {"auths": {host: {"username": "pusher", "password": PASSWORD}}},
        "a helper for this host": {"credHelpers": {host: "safe"}},
        "a helper for all hosts": {"auths": {host: {}}, "credsStore": "safe"},
    }
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    done = {}
    for number, (way, kept) in enumerate(ways.items()):
        (tmp_path / "auth.json").write_text(json.dumps(kept))
        place = target(host, f"infra/gpuready:{number}")
        done[way] = registry.push(image, place, plain_http=True).reference
    assert done == dict.fromkeys(ways, f"{host}/infra/gpuready@{image.digest}")


BAD_FILES = {
    "is no JSON": ("{secret", " is not a registry credentials file"),
    "has a list where logins belong": ('{"auths": ["secret"]}', " is not a registry credentials file"),
    "holds a login that is not base64": (
        '{"auths": {"h.example": {"auth": "@secret"}}}',
        " holds a login that cannot be decoded",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_credentials_file_is_named_and_not_quoted(
    case: str, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, said = BAD_FILES[case]
    path = tmp_path / "auth.json"
    path.write_text(text)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(path))
    with pytest.raises(UserError) as raised:
        registry.push(image, target("h.example"))
    assert raised.value.what == f"{path}{said}"


def test_a_helper_that_is_not_there_is_named(image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "auth.json").write_text('{"credsStore": "absent"}')
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    with pytest.raises(UserError, match="docker-credential-absent, which the credentials file names, is not on PATH"):
        registry.push(image, target("h.example"))


@needs_registry
def test_logins_by_token(image: Image, run_registry: RunRegistry, tmp_path: Path) -> None:
    cert_file, _, key = certificate(tmp_path)
    der = x509.load_pem_x509_certificate(cert_file.read_bytes()).public_bytes(serialization.Encoding.DER)
    asked: list[dict[str, list[str]]] = []
    members = {"key": key, "chain": base64.b64encode(der).decode(), "asked": asked}
    with serving(type("Tokens", (TokenServer,), members)) as tokens:
        known = f"service: images, issuer: test, rootcertbundle: {cert_file}"
        host = run_registry(f"auth: {{token: {{realm: 'http://{tokens}/token', {known}}}}}")
        with pytest.raises(UserError, match="/infra/gpuready wants a login"):
            registry.push(image, target(host), plain_http=True)
        save_login(tmp_path, host, auth=basic("pusher", "wrong"))
        with pytest.raises(UserError, match="/infra/gpuready refused the login of"):
            registry.push(image, target(host), plain_http=True)
        save_login(tmp_path, host, auth=basic("pusher", PASSWORD))
        assert registry.push(image, target(host), plain_http=True).uploaded == image.size
        save_login(tmp_path, host, identitytoken="refresh-secret")
        by_refresh = registry.push(image, target(host, "other/gpuready"), plain_http=True)
        assert by_refresh == registry.Pushed(f"{host}/other/gpuready@{image.digest}", image.size)
    wanted = [
        {"service": ["images"], "scope": [f"repository:{name}/gpuready:pull,push"]} for name in ("infra", "other")
    ]
    assert [ask for number, ask in enumerate(asked) if ask not in asked[:number]] == wanted


def test_a_login_never_goes_to_another_host(tmp_path: Path, image: Image) -> None:
    """The registry answers every upload with a place at another port; the login must stay at the registry."""
    elsewhere: list[tuple[str, str | None]] = []
    members = {"status": 201, "headers_sent": {}, "body": b"", "seen": elsewhere}
    with serving(type("Storage", (Hostile,), members)) as storage, serving(front(storage)) as host:
        save_login(tmp_path, host, auth=basic("pusher", PASSWORD))
        with pytest.raises(UserError, match="put the manifest"):  # this registry never stores it
            registry.push(image, target(host), plain_http=True)
    parts = json.loads(oci.blob(image.layout, image.digest).read_bytes())
    digests = [part["digest"].replace(":", "%3A") for part in [parts["config"], *parts["layers"]]]
    assert elsewhere == [(f"/upload?state=1&digest={digest}", None) for digest in digests]


def front(storage: str) -> type[Hostile]:
    """A registry that wants a login, has nothing, and sends every upload to its storage."""

    class Front(Hostile):
        headers_sent: ClassVar = {
            "WWW-Authenticate": "Basic realm=x",
            "Location": f"http://{storage}/upload?state=1",
        }
        body, seen = b"", []

        def reply(self) -> None:
            self.status = {"/v2/": 200}.get(self.path, 404 if self.command == "HEAD" else 202)
            if self.path == "/v2/" and not self.headers.get("Authorization"):
                self.status = 401
            super().reply()

    return Front
