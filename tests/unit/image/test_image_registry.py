"""Pushing to a real registry (Debian's docker-registry): what it holds afterwards, and refusals in words."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from registry_double import (
    Hostile,
    RunRegistry,
    certificate,
    free_port,
    needs_registry,
    pulled,
    serving,
    target,
)

from gpuready.adapters import oci, registry
from gpuready.adapters.oci import Image
from gpuready.model.errors import UserError


@needs_registry
def test_what_is_pushed_comes_back_under_the_same_digests(image: Image, run_registry: RunRegistry) -> None:
    host = run_registry()
    pushed = registry.push(image, target(host), plain_http=True)
    assert pushed == registry.Pushed(f"{host}/infra/gpuready@{image.digest}", image.size)
    by_tag = pulled(f"http://{host}/v2/infra/gpuready/manifests/1")
    assert f"sha256:{hashlib.sha256(by_tag).hexdigest()}" == image.digest
    assert pulled(f"http://{host}/v2/infra/gpuready/manifests/{image.digest}") == by_tag
    manifest = json.loads(by_tag)
    for part in [manifest["config"], *manifest["layers"]]:
        blob = pulled(f"http://{host}/v2/infra/gpuready/blobs/{part['digest']}")
        assert (f"sha256:{hashlib.sha256(blob).hexdigest()}", len(blob)) == (part["digest"], part["size"])


@needs_registry
def test_a_second_push_sends_nothing_and_another_tag_sends_only_the_manifest(
    image: Image, run_registry: RunRegistry
) -> None:
    host = run_registry()
    registry.push(image, target(host), plain_http=True)
    again = registry.push(image, target(host), plain_http=True)
    other = registry.push(image, target(host, "infra/gpuready:2"), plain_http=True)
    reference = f"{host}/infra/gpuready@{image.digest}"
    manifest = oci.blob(image.layout, image.digest).stat().st_size
    assert (again, other) == (registry.Pushed(reference, 0), registry.Pushed(reference, manifest))


@needs_registry
def test_a_registry_with_its_own_ca(image: Image, run_registry: RunRegistry, tmp_path: Path) -> None:
    cert_file, key_file, _ = certificate(tmp_path)
    port = run_registry(tls=f", tls: {{certificate: {cert_file}, key: {key_file}}}").rpartition(":")[2]
    host = f"localhost:{port}"
    with pytest.raises(UserError) as untrusted:
        registry.push(image, target(host))
    assert untrusted.value.what.startswith(f"{host}: its certificate is not trusted here: ")
    assert untrusted.value.next == "name its CA with --ca-file FILE"
    with pytest.raises(UserError) as plain:
        registry.push(image, target(host), plain_http=True)
    assert (plain.value.what, plain.value.next) == (f"{host} speaks TLS", "leave --plain-http out")
    assert registry.push(image, target(host), ca_file=cert_file).uploaded == image.size


@needs_registry
def test_an_http_registry_spoken_to_with_tls(image: Image, run_registry: RunRegistry) -> None:
    host = run_registry()
    with pytest.raises(UserError) as raised:
        registry.push(image, target(host))
    assert raised.value.what == f"{host} does not speak TLS"
    assert "--plain-http" in raised.value.next


def test_a_registry_that_is_not_there(image: Image) -> None:
    host = f"127.0.0.1:{free_port()}"
    with pytest.raises(UserError) as raised:
        registry.push(image, target(host), plain_http=True)
    assert raised.value.what == f"cannot reach {host}: [Errno 111] Connection refused"


ANSWERS = {
    "is no registry": (404, {}, b"<html>", r"answered 404 when gpuready asked for its API for infra/gpuready"),
    "never ends": (200, {}, b"x" * (3 << 20), r"answers with more than 1048576 bytes"),
    "sends control characters": (
        500,
        {},
        b'{"errors": [{"code": "DENIED", "message": "\\u001b[31mfull\\u0000"}]}',
        r"answered 500 when gpuready asked for its API for infra/gpuready \(DENIED: \[31mfull\)",
    ),
    "sends logins elsewhere over a strange scheme": (
        401,
        {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'},
        b"",
        r"sends logins to 'file:///etc/passwd', not over TLS",
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_server_that(case: str, image: Image) -> None:
    status, headers, body, said = ANSWERS[case]
    members = {"status": status, "headers_sent": headers, "body": body, "seen": []}
    with serving(type("Answers", (Hostile,), members)) as host, pytest.raises(UserError) as raised:
        registry.push(image, target(host), plain_http=True)
    assert raised.match(f"^{host} {said}; ")


TARGETS = {
    "harbor.example.com/infra/gpuready:1.2": ("harbor.example.com", "infra/gpuready", "1.2"),
    "harbor.example.com:8443/a/b/c": ("harbor.example.com:8443", "a/b/c", "DEFAULT"),
    "localhost/gpuready": ("localhost", "gpuready", "DEFAULT"),
    "[::1]:5000/x": ("[::1]:5000", "x", "DEFAULT"),
    "gpuready": "'gpuready' is not REGISTRY/REPOSITORY[:TAG]",
    "someone/gpuready": "'someone/gpuready' names no registry",
    "h.example/UPPER": "'h.example/UPPER' is not REGISTRY/REPOSITORY[:TAG]",
    "h.example/a@sha256:00": "'h.example/a@sha256:00' is not REGISTRY/REPOSITORY[:TAG]",
    "h.example/a:": "'h.example/a:' is not REGISTRY/REPOSITORY[:TAG]",
    "https://h.example/a": "'https://h.example/a' is not REGISTRY/REPOSITORY[:TAG]",
    "h.example/../a": "'h.example/../a' is not REGISTRY/REPOSITORY[:TAG]",
    "h.example@evil.example/a": "'h.example@evil.example/a' is not REGISTRY/REPOSITORY[:TAG]",
}


@pytest.mark.parametrize("text", TARGETS)
def test_where_to_push(text: str) -> None:
    wanted = TARGETS[text]
    if isinstance(wanted, str):
        with pytest.raises(UserError) as raised:
            registry.parse_target(text, default_tag="DEFAULT")
        assert raised.value.what == wanted
    else:
        assert registry.parse_target(text, default_tag="DEFAULT") == registry.Target(*wanted)


def test_a_ca_file_that_is_none(image: Image, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(UserError, match=r"^cannot use the certificates in .*/ca.pem: "):
        registry.push(image, target("h.example"), ca_file=tmp_path / "ca.pem")
