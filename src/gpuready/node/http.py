"""GET over HTTP/1.1 for the agent's few pages: strict, bounded, one request a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec

LONGEST_REQUEST = 8192  # bytes, line and headers
REQUEST_SECONDS = 5.0
ANSWER_SECONDS = 30.0
MOST_CONNECTIONS = 32
REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 503: "Service Unavailable"}


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    status: int = 200
    kind: str = "text/plain; charset=utf-8"
    body: str


Page = Callable[[], Awaitable[Answer]]


class HttpServer:
    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages
        self._open = 0

    async def start(self, host: str | None, port: int) -> asyncio.Server:
        return await asyncio.start_server(self._connection, host, port, limit=LONGEST_REQUEST)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= MOST_CONNECTIONS:
                await self._exchange(reader, writer)
        except (OSError, TimeoutError):
            pass  # the client is gone or too slow; nobody is left to tell
        except asyncio.CancelledError:
            pass  # the agent ends; left to itself, asyncio of Python 3.11 prints a traceback for it
        finally:
            self._open -= 1
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = b""
        method, path = parse(head)
        answer = await self._answer(method, path)
        writer.write(render(answer, with_body=method != "HEAD"))
        async with asyncio.timeout(REQUEST_SECONDS):
            await writer.drain()

    async def _answer(self, method: str, path: str) -> Answer:
        if not method:
            return Answer(status=400, body="not an HTTP request\n")
        if method not in ("GET", "HEAD"):
            return Answer(status=405, body="only GET and HEAD\n")
        page = self._pages.get(path)
        if page is None:
            return Answer(status=404, body="pages: " + " ".join(self._pages) + "\n")
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await page()
        except TimeoutError:
            return Answer(status=503, body=f"no answer within {ANSWER_SECONDS:.0f} s\n")


def parse(head: bytes) -> tuple[str, str]:
    """Method and path without its query; empty strings for anything that is not an HTTP/1 request line."""
    words = head.partition(b"\r\n")[0].decode("ascii", "replace").split(" ")
    if len(words) != 3 or not words[0].isalpha() or not words[1].startswith("/") or not words[2].startswith("HTTP/1."):
        return "", ""
    return words[0], words[1].partition("?")[0]


def render(answer: Answer, *, with_body: bool) -> bytes:
    body = answer.body.encode()
    head = (
        f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Error')}\r\n"
        f"Content-Type: {answer.kind}\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + (body if with_body else b"")


def address(listen: str) -> tuple[str | None, int]:
    """ ":9400" -> every address; "127.0.0.1:9400", "[::1]:9400". Raises ValueError."""
    host, _, port = listen.rpartition(":")
    number = int(port)
    if not 0 <= number < 65536:
        raise ValueError(f"no such port: {port}")
    return host.strip("[]") or None, number
