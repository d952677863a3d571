"""A real registry to push to, servers that misbehave, and what a test needs around them."""

from __future__ import annotations

import base64
import contextlib
import datetime
import http.server
import json
import shutil
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from gpuready.adapters import oci, registry

BINARY = shutil.which("docker-registry")
needs_registry = pytest.mark.skipif(
    BINARY is None, reason="no docker-registry on PATH (apt-get install docker-registry)"
)
PASSWORD = "correct horse"
# htpasswd -nbBC 4 pusher 'correct horse'
HTPASSWD = "pusher:$2y$04$h8TaDLcTtsfZiCpvARBer.PlE52pJMnvf6QQsmVtXRH4pb2LfDHoe\n"
RunRegistry = Callable[..., str]


def save_login(tmp_path: Path, host: str, **login: str) -> None:
    (tmp_path / "docker").mkdir(exist_ok=True)
    (tmp_path / "docker" / "config.json").write_text(json.dumps({"auths": {host: login}}))


def basic(user: str, password: str) -> str:
    return base64.b64encode(f"{user}:{password}".encode()).decode()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


@contextlib.contextmanager
def serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    """A server on the loopback interface; gives its host:port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
