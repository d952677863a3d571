"""Why no answer came: exceptions of the HTTP client become Unreachable, with the layer that failed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import httpx2

from gpuready.adapters.kube_connection import Connection
from gpuready.adapters.kube_proxy import without_password
from gpuready.adapters.kube_tls import handshake_fault
from gpuready.adapters.kube_words import clean
from gpuready.model.errors import Target, Unreachable

# The request had not been sent when these were raised, so nothing can have been done.
BEFORE_SENDING = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)


def unreachable(
    error: Exception, connection: Connection, certificate: bytes, target: Target, *, writing: bool
) -> Unreachable:
    what, todo = _fault(error, connection, certificate)
    maybe_done = writing and not isinstance(error, BEFORE_SENDING)
    if maybe_done:
        what += f"; whether {target.verb} {target} was done is not known"
    return Unreachable(what, todo, target=target, maybe_done=maybe_done)


def will_not_pass(error: Exception) -> bool:
    """TLS and name faults: trying again cannot help."""
    return any(isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError) for cause in _chain(error))


def way(connection: Connection) -> str:
    """The server, and the proxy before it."""
    if not connection.proxy:
        return connection.server
    return f"{connection.server} (through {connection.proxy_from} {without_password(connection.proxy)})"


def _fault(error: Exception, connection: Connection, certificate: bytes) -> tuple[str, str]:
    server = way(connection)
    check = "check the address in the kubeconfig, the network and a VPN"
    if connection.proxy:
        check = f"check {connection.proxy_from} {without_password(connection.proxy)}, and NO_PROXY"
    if isinstance(error, httpx2.ProxyError):
        return f"the proxy refused the way to {server}: {clean(str(error), 200)}", check
    for cause in _chain(error):
        if isinstance(cause, ssl.SSLEOFError):
            return f"{server} closed the connection during the TLS handshake", check
        if isinstance(cause, ssl.SSLError):
            return handshake_fault(cause, connection, certificate)
        if isinstance(cause, socket.gaierror):
            name = without_password(connection.proxy) if connection.proxy else connection.host
            return f"the name {name} has no address (DNS), so {server} cannot be reached", check
        if isinstance(cause, ConnectionRefusedError):
            return f"nothing listens at {server} (connection refused)", check
        if isinstance(cause, OSError) and cause.strerror and isinstance(error, httpx2.ConnectError):
            return f"{server} cannot be reached: {cause.strerror.lower()}", check
    if isinstance(error, httpx2.ConnectTimeout):
        return f"{server} does not answer (no connection in time)", check
    if isinstance(error, httpx2.TimeoutException):
        return f"{server} took the request and did not answer in time", "run this again"
    if isinstance(error, httpx2.RemoteProtocolError | httpx2.ReadError | httpx2.WriteError):
        return f"{server} broke the connection off in the middle of its answer", "run this again"
    if isinstance(error, httpx2.DecodingError):
        return f"{server} sent an answer that cannot be unpacked", check
    return f"the request to {server} failed: {clean(str(error), 200) or type(error).__name__}", check


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(10):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__
