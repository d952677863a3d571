"""A TLS web server that answers what a test tells it to and records what it was asked, with certificates for both."""

from __future__ import annotations

import contextlib
import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
DAY = datetime.timedelta(days=1)


class Pair(NamedTuple):
    """A certificate and its key, both PEM."""

    cert: bytes
    key: bytes


class Authority:
    def __init__(self, name: str = "test-ca") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._cert = self._build(self._name, self._key.public_key(), NOW + 30 * DAY, (), ca=True)
        self.pem = self._cert.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str, names: tuple[str, ...] = (), *, ends: datetime.datetime = NOW + 30 * DAY) -> Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        cert = self._build(subject, key.public_key(), ends, names, ca=False)
        return Pair(
            cert.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )

    def _build(
        self,
        subject: x509.Name,
        public: ec.EllipticCurvePublicKey,
        ends: datetime.datetime,
        names: tuple[str, ...],
        *,
        ca: bool,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - 60 * DAY)
            .not_valid_after(ends)
        )
        if ca:
            builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        else:
            both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            builder = builder.add_extension(x509.ExtendedKeyUsage(both), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(n) for n in names]), critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass
class Asked:
    method: str
    path: str
    query: str
    headers: dict[str, list[str]]
    body: bytes
    client: str  # common name of the client certificate, or empty

    def header(self, name: str) -> str:
        return ", ".join(self.headers.get(name.lower(), []))


@dataclass
class Answer:
    code: int = 200
    body: bytes | object = b""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False  # say more bytes than are sent, then close
    drop: bool = False  # close without a word
    lines: Iterable[bytes] | None = None  # a stream (chunked), instead of `body`

    def data(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def status(code: int, reason: str = "", message: str = "", **details: Any) -> Answer:
    """A refusal as an API server words it."""
    body = {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "details": details, "code": code,
    }  # fmt: skip
    return Answer(code, body)


Reply = Answer | Callable[[Asked], Answer]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Server

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, ssl.SSLError):
            self.close_connection = True

    def _any(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path, _, query = self.path.partition("?")
        headers: dict[str, list[str]] = {}
        for name, value in self.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        asked = Asked(self.command, path, query, headers, body, _client_name(self.connection))
        reply = self.owner._next(asked)
        self._send(reply if isinstance(reply, Answer) else reply(asked))

    def _send(self, answer: Answer) -> None:
        if answer.drop:
            self.close_connection = True
            return
        self.send_response(answer.code)
        if answer.lines is not None:
            self._stream(answer.lines, cut=answer.cut)
            return
        data = answer.data()
        for name, value in {"Content-Type": "application/json", **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data) + (100 if answer.cut else 0)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()
        if answer.cut:
            self.close_connection = True

    def _stream(self, lines: Iterable[bytes], *, cut: bool) -> None:
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            self.wfile.flush()
        if cut:
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any  # noqa: N815

    def log_message(self, *_: object) -> None: ...


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def __init__(self, port: int, handler: type[_Handler]) -> None:
        super().__init__(("127.0.0.1", port), handler)
        self.open: list[socket.socket] = []

    def handle_error(self, *_: object) -> None: ...  # refused handshakes are what some tests are about

    def finish_request(self, request: Any, client_address: Any) -> None:
        self.open.append(request)
        if self.tls is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(10)
        with self.tls.wrap_socket(request, server_side=True) as tls:  # in this connection's own thread
            super().finish_request(tls, client_address)


class Server:
    """`replies` are used up in turn, the last one for ever."""

    def __init__(
        self, pair: Pair | None, folder: Path, *, client_ca: bytes = b"", demand: bool = False, port: int = 0
    ) -> None:
        self.asked: list[Asked] = []
        self.replies: list[Reply] = [Answer(200, {"kind": "NamespaceList", "metadata": {}, "items": []})]
        self._lock = threading.Lock()
        self._http = _Http(port, type("Handler", (_Handler,), {"owner": self}))
        if pair:
            self._http.tls = _tls(pair, folder / f"server-{id(self)}.pem", client_ca, demand=demand)
        self.port = self._http.server_address[1]
        self.url = f"{'https' if pair else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _next(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        for connection in self._http.open:  # kept-alive ones too: this server is gone
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def _tls(pair: Pair, file: Path, client_ca: bytes, *, demand: bool) -> ssl.SSLContext:
    file.write_bytes(pair.cert + pair.key)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(file)
    if client_ca:
        tls.load_verify_locations(cadata=client_ca.decode())
        tls.verify_mode = ssl.CERT_REQUIRED if demand else ssl.CERT_OPTIONAL
    return tls


def _client_name(connection: socket.socket) -> str:
    if not isinstance(connection, ssl.SSLSocket):
        return ""
    subject = (connection.getpeercert() or {}).get("subject", ())
    pairs = [pair for part in subject for pair in part]
    return next((str(pair[1]) for pair in pairs if pair[0] == "commonName"), "")


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any], name: str = "config") -> Path:
    """One context `c` of cluster `k` and user `u`. JSON is a kubeconfig too."""
    path = folder / name
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "c",
                "clusters": [{"name": "k", "cluster": cluster}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            }
        )
    )
    return path
