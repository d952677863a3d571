"""One connection pool to one API server: a request is a value; sending it authenticates, repeats and explains."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx2
import msgspec

from gpuready.adapters.kube_auth import Identity, Login
from gpuready.adapters.kube_connection import Connection
from gpuready.adapters.kube_errors import Status, api_error, not_kubernetes, read_status
from gpuready.adapters.kube_reach import BEFORE_SENDING, unreachable, way, will_not_pass
from gpuready.adapters.kube_tls import not_after, tls_context
from gpuready.adapters.kube_words import clean
from gpuready.model.errors import ApiError, Target, Unauthorized

CONNECT_SECONDS = 10.0
READ_SECONDS = 65.0  # the API server itself gives up after 60 s and says so
RETRY_SECONDS = 30.0
MAX_ANSWER = 256 << 20  # 500 objects, most of them far below their 1.5 MiB
MAX_STATUS = 1 << 20
TRANSIENT = ("etcdserver: leader changed", "etcdserver: request timed out", "etcdserver: no leader")
# Pods of a new namespace are refused until the controller-manager has made its account. Source: kubernetes
# plugin/pkg/admission/serviceaccount.
ACCOUNT_TO_COME = b'/default: serviceaccount \\"default\\" not found'

# A peer that has vanished (node down, NAT entry gone) is noticed after 15 + 3 * 5 s, also in a quiet watch.
_KEEPALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *((socket.IPPROTO_TCP, getattr(socket, name), value) for name, value in
      (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)) if hasattr(socket, name)),
]  # fmt: skip

T = TypeVar("T")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request. `repeatable`: sending it twice does what sending it once does."""

    method: str
    path: str
    target: Target
    query: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    content_type: str = "application/json"
    accept: str = "application/json"
    repeatable: bool = False
    read_seconds: float = READ_SECONDS
    limit: int = MAX_ANSWER
    through: str = ""  # who answers behind the API server ("pod ns/name port 9400"), with words of its own


class _RefusedError(Exception):
    """An answer that is no success, before it has been explained."""

    def __init__(self, response: httpx2.Response, body: bytes) -> None:
        super().__init__(response.status_code)
        self.code = response.status_code
        self.body = body
        self.content_type = response.headers.get("content-type", "")
        self.location = response.headers.get("location", "")
        self.retry_after = _seconds(response.headers.get("retry-after", ""))


class Transport:
    """Thread-safe. `now` and `sleep` are the clock, for tests."""

    def __init__(
        self,
        connection: Connection,
        *,
        retry_seconds: float = RETRY_SECONDS,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.connection = connection
        self._login = Login(connection)
        self._retry_seconds = retry_seconds
        self.now, self.sleep = now, sleep
        self._lock = threading.Lock()
        self._pool: httpx2.Client | None = None
        self._retired: list[httpx2.Client] = []  # other threads may still read from them
        self._presented = (b"", b"")
        self._answered = False

    def close(self) -> None:
        with self._lock:
            for pool in [*self._retired, *([self._pool] if self._pool else [])]:
                pool.close()
            self._pool, self._retired = None, []

    def send(self, call: Call) -> bytes:
        """The answer's body. ApiError for everything else."""

        def exchange(identity: Identity) -> bytes:
            response = self._begin(call, identity)
            try:
                return _body(response, call.limit, call.target)
            finally:
                response.close()

        return self._repeat(call, exchange)

    def open(self, call: Call) -> httpx2.Response:
        """A stream; only its beginning is repeated. The caller closes it and turns what breaks by `explain`."""

        return self._repeat(call, lambda identity: self._begin(call, identity))

    def explain(self, error: Exception, call: Call) -> ApiError:
        return unreachable(error, self.connection, self._presented[0], call.target, writing=not call.repeatable)

    def _repeat(self, call: Call, exchange: Callable[[Identity], T]) -> T:
        until = self.now() + self._retry_seconds
        pauses = backoff()
        renewed = False
        while True:
            identity = self._login.current()
            try:
                answer = exchange(identity)
                self._answered = True
                return answer
            except _RefusedError as refusal:
                self._answered = True
                if refusal.code == 401 and not renewed:
                    renewed = True
                    if self._login.renew(identity) != identity:
                        continue
                fault, pause = self._explain_refusal(refusal, call, identity), _pause(refusal, call, next(pauses))
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                fault, pause = self.explain(error, call), self._pause_after(error, call, next(pauses))
                fault.__cause__ = error
            if pause is None or self.now() + pause > until:
                raise fault
            self.sleep(pause)

    def _pause_after(self, error: Exception, call: Call, pause: float) -> float | None:
        """First contact fails at once; later an API server may be restarting, and what was not sent can be sent."""
        if not self._answered or will_not_pass(error):
            return None
        return pause if call.repeatable or isinstance(error, BEFORE_SENDING) else None

    def _explain_refusal(self, refusal: _RefusedError, call: Call, identity: Identity) -> ApiError:
        status = read_status(refusal.body)
        if status is None and call.through:
            told = clean(refusal.body[:1000].decode("utf-8", "replace"), 300) or "nothing more"
            return ApiError(f"{call.through} answered {refusal.code}: {told}", code=refusal.code, target=call.target)
        if refusal.code == 401:
            return self._unauthorized(refusal, status, call, identity)
        if status is None and not _plain_api_answer(refusal):
            return not_kubernetes(
                refusal.code, refusal.content_type, refusal.location, call.target, way(self.connection)
            )
        if status is None:  # http.Error of the API server's handlers: plain text
            status = Status(message=refusal.body[:4000].decode("utf-8", "replace"))
        doubt = refusal.code in (500, 502, 504) and not call.repeatable and refusal.retry_after is None
        return api_error(
            refusal.code, status, call.target, identity.secrets(), maybe_done=doubt and not _denied_by_webhook(status)
        )

    def _unauthorized(self, refusal: _RefusedError, status: Status | None, call: Call, identity: Identity) -> ApiError:
        c = self.connection
        why = ""
        until = not_after(identity.certificate)
        if until and until.timestamp() < time.time():
            why = f": the certificate expired {until:%Y-%m-%d %H:%M} UTC"
        if status is None and not _plain_api_answer(refusal):
            why = ": a proxy or gateway answered, not the API server"
        user = f"user {c.user_name or '(none)'} ({identity.how}, {c.source})"
        return Unauthorized(
            f"{way(c)} does not accept the credentials of {user}{why}",
            "log in again, or get a new kubeconfig",
            code=401,
            reason=status.reason if status else "",
            target=call.target,
        )

    def _begin(self, call: Call, identity: Identity) -> httpx2.Response:
        """Sent, and answered with success; the body is still to be read. The caller closes it."""
        c = self.connection
        headers = [(b"Accept", call.accept.encode()), (b"User-Agent", b"gpuready"), *identity.headers]
        headers.append((b"Accept-Encoding", b"gzip" if c.compress else b"identity"))
        if call.body:
            headers.append((b"Content-Type", call.content_type.encode()))
        client = self._client(identity)
        request = client.build_request(
            call.method,
            c.server + call.path,
            params=list(call.query) or None,
            headers=headers,
            content=call.body or None,
            timeout=httpx2.Timeout(CONNECT_SECONDS, read=call.read_seconds),
            extensions={"sni_hostname": c.tls_server_name} if c.tls_server_name else None,
        )
        response = client.send(request, stream=True)
        if response.is_success:
            return response
        try:
            raise _RefusedError(response, _body(response, MAX_STATUS, None))
        finally:
            response.close()

    def _client(self, identity: Identity) -> httpx2.Client:
        """A new pool when the client certificate is another: connections keep the one they began with."""
        with self._lock:
            presented = (identity.certificate, identity.key)
            if self._pool is None or presented != self._presented:
                pool = self._new_pool(identity)
                if self._pool:
                    self._retired.append(self._pool)
                self._pool, self._presented = pool, presented
            return self._pool

    def _new_pool(self, identity: Identity) -> httpx2.Client:
        c = self.connection
        context = tls_context(c, identity.certificate, identity.key)
        proxy = None
        if c.proxy:
            proxy = httpx2.Proxy(c.proxy, ssl_context=tls_context(c) if c.proxy.startswith("https:") else None)
        limits = httpx2.Limits(max_connections=64, max_keepalive_connections=8, keepalive_expiry=30.0)
        transport = httpx2.HTTPTransport(verify=context, limits=limits, proxy=proxy, socket_options=_KEEPALIVE)
        return httpx2.Client(transport=transport, trust_env=False, follow_redirects=False)


def backoff(first: float = 0.2, most: float = 5.0) -> Iterator[float]:
    """Seconds to pause: doubling, each between half and the whole, so that clients do not march in step."""
    step = first
    while True:
        yield step * random.uniform(0.5, 1.0)
        step = min(2 * step, most)


def _pause(refusal: _RefusedError, call: Call, pause: float) -> float | None:
    """None: do not repeat. With Retry-After the server says that it did nothing (as client-go reads it)."""
    if refusal.code == 429 or refusal.code >= 500:
        if refusal.retry_after is not None:
            return max(refusal.retry_after, pause)
        transient = refusal.code in (429, 502, 503, 504) or any(t.encode() in refusal.body for t in TRANSIENT)
        return pause if transient and call.repeatable and not call.through else None
    return pause if refusal.code == 403 and ACCOUNT_TO_COME in refusal.body else None


def _body(response: httpx2.Response, limit: int, target: Target | None) -> bytes:
    """`target` None: cut off at the limit instead of raising."""
    parts: list[bytes] = []
    size = 0
    for part in response.iter_bytes():
        parts.append(part)
        size += len(part)
        if size > limit:
            if target is None:
                break
            raise ApiError(f"the answer about {target} is larger than {limit >> 20} MiB", target=target)
    return b"".join(parts)


def _plain_api_answer(refusal: _RefusedError) -> bool:
    return refusal.content_type.startswith("text/plain") and not refusal.location


def _denied_by_webhook(status: Status) -> bool:
    return "failed calling webhook" in status.message  # before anything was stored


def _seconds(text: str) -> float | None:
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else None
