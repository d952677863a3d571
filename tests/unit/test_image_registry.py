"""Pushing to a real registry (Debian's docker-registry): what it holds afterwards, logins, and refusals in words."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from gpuready.adapters import oci, registry
from gpuready.adapters.oci import Entry, Image
from gpuready.model.errors import UserError

BINARY = shutil.which("docker-registry")
needs_registry = pytest.mark.skipif(
    BINARY is None, reason="no docker-registry on PATH (apt-get install docker-registry)"
)
PASSWORD = "correct horse"
# htpasswd -nbBC 4 pusher 'correct horse'
HTPASSWD = "pusher:$2y$04$h8TaDLcTtsfZiCpvARBer.PlE52pJMnvf6QQsmVtXRH4pb2LfDHoe\n"
RunRegistry = Callable[..., str]


@pytest.fixture
def image(tmp_path: Path) -> Image:
    layout = tmp_path / "layout"
    oci.prepare(layout)
    layers = [
        oci.write_layer({"etc/one": Entry(b"1" * 4096)}, "one", layout),
        oci.write_layer({"etc/two": Entry(os.urandom(3 << 20))}, "two", layout),
    ]
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": {oci.OURS: "0"}}}
    return oci.finish(layout, layers, "localhost/x:1", config)


@pytest.fixture(autouse=True)
def no_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("HOME", str(tmp_path))


def save_login(tmp_path: Path, host: str, **login: str) -> None:
    (tmp_path / "docker").mkdir(exist_ok=True)
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {host: login}}))


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def run_registry(tmp_path: Path) -> Iterator[RunRegistry]:
    with contextlib.ExitStack() as stack:

        def start(auth: str = "", tls: str = "") -> str:
            port = free_port()
            config = tmp_path / f"registry-{port}.yml"
            storage = f"storage: {{filesystem: {{rootdirectory: {tmp_path}/registry-{port}}}}}"
            listen = f"http: {{addr: '127.0.0.1:{port}', secret: x{tls}}}"
            config.write_text(f"version: 0.1\nlog: {{level: error}}\n{storage}\n{listen}\n{auth}\n")
            assert BINARY is not None
            with (tmp_path / f"registry-{port}.log").open("wb") as log:
                process = subprocess.Popen([BINARY, "serve", str(config)], stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            listening(port)
            return f"127.0.0.1:{port}"

        yield start


def listening(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}")


def target(host: str, text: str = "infra/gpuready:1") -> registry.Target:
    return registry.parse_target(f"{host}/{text}", default_tag="0")


def pulled(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": oci.MANIFEST})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        body: bytes = answer.read()
        return body


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


class TokenServer(http.server.BaseHTTPRequestHandler):
    """Gives tokens of the registry's token specification to `pusher`, by password or refresh token."""

    key: ec.EllipticCurvePrivateKey
    chain: str
    asked: list[dict[str, list[str]]]

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        allowed = self.headers.get("Authorization") == f"Basic {basic('pusher', PASSWORD)}"
        self.answer(query, allowed)

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer(form, form.get("refresh_token") == ["refresh-secret"])

    def answer(self, asked: dict[str, list[str]], allowed: bool) -> None:
        self.asked.append({key: asked[key] for key in ("service", "scope")})
        kind, name, actions = asked["scope"][0].split(":")
        access = [{"type": kind, "name": name, "actions": actions.split(",")}] if allowed else []
        now = int(time.time())
        claims = {
            "iss": "test",
            "sub": "pusher",
            "aud": "images",
            "exp": now + 60,
            "nbf": now - 5,
            "iat": now,
            "jti": "1",
        }
        body = json.dumps({"token": self.signed({**claims, "access": access})}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def signed(self, claims: dict[str, object]) -> str:
        head = {"typ": "JWT", "alg": "ES256", "x5c": [self.chain]}
        parts = [json.dumps(part).encode() for part in (head, claims)]
        text = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
        r, s = utils.decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        signature = base64.urlsafe_b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).rstrip(b"=").decode()
        return f"{text}.{signature}"

    def log_message(self, format: str, *args: object) -> None:
        pass


def certificate(tmp_path: Path) -> tuple[Path, Path, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test registry")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pkcs8, clear = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, pkcs8, clear))
    return cert_file, key_file, key


@needs_registry
def test_logins_by_token(image: Image, run_registry: RunRegistry, tmp_path: Path) -> None:
    cert_file, _, key = certificate(tmp_path)
    der = x509.load_pem_x509_certificate(cert_file.read_bytes()).public_bytes(serialization.Encoding.DER)
    asked: list[dict[str, list[str]]] = []
    members = {"key": key, "chain": base64.b64encode(der).decode(), "asked": asked}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Tokens", (TokenServer,), members))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    realm = f"http://127.0.0.1:{server.server_address[1]}/token"
    try:
        host = run_registry(
            f"auth: {{token: {{realm: '{realm}', service: images, issuer: test, rootcertbundle: {cert_file}}}}}"
        )
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
    finally:
        server.shutdown()
        server.server_close()
    wanted = [
        {"service": ["images"], "scope": [f"repository:{name}/gpuready:pull,push"]} for name in ("infra", "other")
    ]
    assert [ask for number, ask in enumerate(asked) if ask not in asked[:number]] == wanted


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


class Hostile(http.server.BaseHTTPRequestHandler):
    """Answers every request with what the test sets."""

    status = 200
    headers_sent: dict[str, str]
    body: bytes
    seen: list[tuple[str, str | None]]

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if self.raw_requestline and self.parse_request():
            self.reply()
            self.wfile.flush()
        self.close_connection = True

    def reply(self) -> None:
        self.seen.append((self.path, self.headers.get("Authorization")))
        self.send_response(self.status)
        for key, value in self.headers_sent.items():
            self.send_header(key, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None:
        pass


ANSWERS = {
    "is no registry": (404, {}, b"<html>", r"answered 404 when gpuready asked for its API for infra/gpuready$"),
    "never ends": (200, {}, b"x" * (3 << 20), r"answers with more than 1048576 bytes$"),
    "sends control characters": (
        500,
        {},
        b'{"errors": [{"code": "DENIED", "message": "\\u001b[31mfull\\u0000"}]}',
        r"answered 500 when gpuready asked for its API for infra/gpuready \(DENIED: \[31mfull\)$",
    ),
    "sends logins elsewhere over a strange scheme": (
        401,
        {"WWW-Authenticate": 'Bearer realm="file:///etc/passwd"'},
        b"",
        r"sends logins to 'file:///etc/passwd', not over TLS$",
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_server_that(case: str, image: Image) -> None:
    status, headers, body, said = ANSWERS[case]
    members = {"status": status, "headers_sent": headers, "body": body, "seen": []}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Answers", (Hostile,), members))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(UserError) as raised:
            registry.push(image, target(f"127.0.0.1:{server.server_address[1]}"), plain_http=True)
    finally:
        server.shutdown()
        server.server_close()
    assert raised.match(f"^127.0.0.1:{server.server_address[1]} {said.removesuffix('$')}")


def test_a_login_never_goes_to_another_host(tmp_path: Path, image: Image) -> None:
    """The registry answers every upload with a place at another port; the login must stay at the registry."""
    elsewhere: list[tuple[str, str | None]] = []
    members = {"status": 201, "headers_sent": {}, "body": b"", "seen": elsewhere}
    storage = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Storage", (Hostile,), members))

    class Front(Hostile):
        headers_sent: ClassVar = {
            "WWW-Authenticate": "Basic realm=x",
            "Location": f"http://127.0.0.1:{storage.server_address[1]}/upload?state=1",
        }
        body, seen = b"", []

        def reply(self) -> None:
            self.status = {"/v2/": 200}.get(self.path, 404 if self.command == "HEAD" else 202)
            if self.path == "/v2/" and not self.headers.get("Authorization"):
                self.status = 401
            super().reply()

    front = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front)
    for server in (storage, front):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"127.0.0.1:{front.server_address[1]}"
    save_login(tmp_path, host, auth=basic("pusher", PASSWORD))
    try:
        with pytest.raises(UserError, match="put the manifest"):  # this registry never stores it
            registry.push(image, target(host), plain_http=True)
    finally:
        for server in (storage, front):
            server.shutdown()
            server.server_close()
    parts = json.loads(oci.blob(image.layout, image.digest).read_bytes())
    digests = [part["digest"].replace(":", "%3A") for part in [parts["config"], *parts["layers"]]]
    assert elsewhere == [(f"/upload?state=1&digest={digest}", None) for digest in digests]


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
