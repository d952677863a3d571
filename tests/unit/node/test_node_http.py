from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gpuready.node import http
from gpuready.node.http import Answer, HttpServer, address


async def page() -> Answer:
    return Answer(body="hello\n")


async def slow() -> Answer:
    await asyncio.sleep(60)
    return Answer(body="never\n")


def talk(conversation: Callable[[int], Awaitable[object]]) -> object:
    async def main() -> object:
        server = await HttpServer({"/page": page, "/slow": slow}).start("127.0.0.1", 0)
        async with server:
            return await conversation(server.sockets[0].getsockname()[1])

    return asyncio.run(main())


async def send(port: int, data: bytes, *, hang_up: bool = False) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if hang_up:
        writer.write_eof()
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


def first_line(data: bytes) -> bytes:
    return data.split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("sentence", "request_", "expected"),
    [
        ("a page", b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 200 OK"),
        ("with a query", b"GET /page?x=1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK"),
        ("another path", b"GET /../etc/passwd HTTP/1.1\r\n\r\n", b"HTTP/1.1 404 Not Found"),
        ("another method", b"POST /page HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 Method Not Allowed"),
        ("no path", b"GET http://x/page HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        ("no HTTP", b"\x16\x03\x01\x02\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        ("HTTP/2's opening", b"PRI * HTTP/2.0\r\n\r\n", b"HTTP/1.1 400 Bad Request"),
        ("a head without end", b"GET /page HTTP/1.1\r\n" + b"x: y\r\n" * 5000, b"HTTP/1.1 400 Bad Request"),
    ],
)
def test_answers(sentence: str, request_: bytes, expected: bytes) -> None:
    assert first_line(talk(lambda port: send(port, request_))) == expected, sentence  # type: ignore[arg-type]


def test_the_whole_answer() -> None:
    got = talk(lambda port: send(port, b"GET /page HTTP/1.1\r\n\r\n"))
    assert got == (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 6\r\n"
        b"Connection: close\r\n\r\nhello\n"
    )
    head = talk(lambda port: send(port, b"HEAD /page HTTP/1.1\r\n\r\n"))
    assert head == got.removesuffix(b"hello\n")  # type: ignore[union-attr]


def test_who_hangs_up_harms_nobody() -> None:
    async def conversation(port: int) -> bytes:
        await send(port, b"GET /pa", hang_up=True)
        return await send(port, b"GET /page HTTP/1.1\r\n\r\n")

    assert first_line(talk(conversation)) == b"HTTP/1.1 200 OK"  # type: ignore[arg-type]


def test_who_says_nothing_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_SECONDS", 0.05)
    assert talk(lambda port: send(port, b"GET /page")) == b""


def test_a_page_that_takes_too_long_is_a_503(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "ANSWER_SECONDS", 0.05)
    got = talk(lambda port: send(port, b"GET /slow HTTP/1.1\r\n\r\n"))
    assert first_line(got) == b"HTTP/1.1 503 Service Unavailable"  # type: ignore[arg-type]


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_CONNECTIONS", 2)

    async def conversation(port: int) -> list[bytes]:
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await asyncio.sleep(0.05)
        refused = await send(port, b"GET /page HTTP/1.1\r\n\r\n")
        for _, writer in idle:
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.05)
        return [refused, first_line(await send(port, b"GET /page HTTP/1.1\r\n\r\n"))]

    assert talk(conversation) == [b"", b"HTTP/1.1 200 OK"]


@pytest.mark.parametrize(
    ("listen", "expected"),
    [(":9400", (None, 9400)), ("127.0.0.1:0", ("127.0.0.1", 0)), ("[::1]:9400", ("::1", 9400)), ("9400", (None, 9400))],
)
def test_address(listen: str, expected: tuple) -> None:
    assert address(listen) == expected


@pytest.mark.parametrize("listen", ["", ":", "host", ":70000", ":-1", "host:port"])
def test_what_is_no_address(listen: str) -> None:
    with pytest.raises(ValueError, match=r"port|invalid"):
        address(listen)
