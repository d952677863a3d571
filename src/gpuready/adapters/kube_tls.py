"""TLS to an API server: trust, client certificates that never lie on a disk, and what a failed handshake means."""

from __future__ import annotations

import base64
import contextlib
import os
import re
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime

from gpuready.adapters.kube_connection import Connection
from gpuready.model.errors import UserError

# OpenSSL's X509_V_ERR_* of include/openssl/x509_vfy.h
NOT_YET_VALID, EXPIRED = (9, 13), (10, 14)
UNKNOWN_ISSUER = (2, 18, 19, 20, 21, 24, 27)
OTHER_NAME = (62, 64)


def tls_context(connection: Connection, certificate: bytes = b"", key: bytes = b"") -> ssl.SSLContext:
    """Trust as Go has it: certificates of the CA file are anchors even when they are intermediates, and CAs without
    the extensions that Python 3.13's default context demands still count."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if connection.skip_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif connection.ca:
        _trust(context, connection)
    elif "https:" in (connection.server[:6], connection.proxy[:6]):  # 40 ms that plain http need not pay
        context.load_default_certs()
    if certificate:
        _present(context, certificate, key, connection)
    return context


def _trust(context: ssl.SSLContext, connection: Connection) -> None:
    try:
        context.load_verify_locations(cadata=connection.ca.decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError, ValueError):
        raise UserError(
            f"the certificate authority of cluster {connection.cluster} holds no PEM certificate",
            f"correct certificate-authority in {connection.source}",
        ) from None


def _present(context: ssl.SSLContext, certificate: bytes, key: bytes, connection: Connection) -> None:
    whose = f"the client certificate of user {connection.user_name} ({connection.source})"
    try:
        with _private_file(certificate + b"\n" + key) as path:
            context.load_cert_chain(path, password=lambda: b"")  # without it OpenSSL would ask at the terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise UserError(f"{whose} does not belong to its key", "write both again") from None
        raise UserError(f"{whose} or its key is no PEM, or is locked with a password", "write both again") from None


@contextlib.contextmanager
def _private_file(data: bytes) -> Iterator[str]:
    """OpenSSL reads keys only from a path: memory where the kernel offers it, else a 0600 file deleted at once."""
    if hasattr(os, "memfd_create"):
        fd = os.memfd_create("client", os.MFD_CLOEXEC)
        try:
            with os.fdopen(os.dup(fd), "wb") as file:
                file.write(data)
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)
        return
    import tempfile  # never on Linux

    with tempfile.NamedTemporaryFile() as named:
        named.write(data)
        named.flush()
        yield named.name


def handshake_fault(error: ssl.SSLError, connection: Connection, certificate: bytes) -> tuple[str, str]:
    """(what is so, what to do) for a handshake that failed; `certificate` is the one we presented."""
    server = connection.server
    if isinstance(error, ssl.SSLCertVerificationError):
        return _refused_by_us(error, connection)
    reason = (error.reason or "").upper()
    if "WRONG_VERSION_NUMBER" in reason or "HTTP_REQUEST" in reason:
        return f"{server} does not speak TLS", "check address and port, or the proxy in between"
    if "ALERT" not in reason:
        return f"TLS with {server} failed ({reason.lower().replace('_', ' ') or 'no reason given'})", ""
    until = not_after(certificate)
    if until and until < datetime.now(UTC):
        return f"the client certificate of user {connection.user_name} expired {_day(until)} ({server})", _RENEW
    if "UNKNOWN_CA" in reason:
        return f"{server} does not know the authority that signed our client certificate", _RENEW
    if "EXPIRED" in reason:
        return f"{server} says that our client certificate has expired", _RENEW
    if "REQUIRED" in reason:
        return f"{server} demands a client certificate, and user {connection.user_name} has none", _RENEW
    return f"{server} refused our TLS handshake ({reason.lower().replace('_', ' ')})", _RENEW


_RENEW = "get a new kubeconfig for this user"


def _refused_by_us(error: ssl.SSLCertVerificationError, connection: Connection) -> tuple[str, str]:
    server, code = connection.server, error.verify_code
    if code in EXPIRED:
        return f"the certificate of {server} has expired", "renew the API server's certificate"
    if code in NOT_YET_VALID:
        now = _day(datetime.now(UTC))
        return f"the certificate of {server} is not valid yet (this clock says {now})", "compare the clocks"
    if code in UNKNOWN_ISSUER:
        trusted = "the kubeconfig's certificate-authority" if connection.ca else "the system's authorities"
        return (
            f"the certificate of {server} is not signed by {trusted}",
            f"check that cluster {connection.cluster} of the kubeconfig belongs to this server",
        )
    if code in OTHER_NAME:
        wanted = connection.tls_server_name or connection.host
        names = _names_of(connection)
        valid_for = f"; it is valid for {', '.join(names)}" if names else ""
        return (
            f"the certificate of {server} is not valid for {wanted}{valid_for}",
            f"set tls-server-name of cluster {connection.cluster} to a name of the certificate",
        )
    return f"the certificate of {server} was refused ({error.verify_message})", "ask who runs the API server"


def _names_of(connection: Connection) -> tuple[str, ...]:
    """The names that a certificate of a known authority has: one more handshake, for the message alone."""
    if connection.proxy:
        return ()
    context = tls_context(connection)
    context.check_hostname = False
    try:
        with (
            socket.create_connection((connection.host, connection.port), timeout=3) as plain,
            context.wrap_socket(plain, server_hostname=connection.tls_server_name or connection.host) as tls,
        ):
            names = (tls.getpeercert() or {}).get("subjectAltName", ())
    except OSError:
        return ()
    return tuple(str(pair[1]) for pair in names[:12] if str(pair[1]).isprintable())


def not_after(pem: bytes) -> datetime | None:
    """When the first certificate of a PEM file ends; None when there is none to read (RFC 5280, section 4.1)."""
    block = re.search(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", pem, re.S)
    if not block:
        return None
    try:
        tbs = _inside(_inside(base64.b64decode(block[1])))
        fields = list(_elements(tbs))
        if fields[0][0] == 0xA0:  # [0] version
            fields = fields[1:]
        tag, time = list(_elements(fields[3][1]))[1]  # serial, algorithm, issuer, validity {notBefore, notAfter}
        text = time.decode("ascii")
        if tag == 0x17:  # UTCTime: two digits of the year, 50-99 mean 19xx
            text = ("19" if text[:2] >= "50" else "20") + text
        return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except (ValueError, IndexError):
        return None


def _inside(der: bytes) -> bytes:
    return next(_elements(der), (0, b""))[1]


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        yield tag, der[at : at + length]
        at += length


def _day(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M UTC")
