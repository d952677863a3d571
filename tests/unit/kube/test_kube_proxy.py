"""HTTPS_PROXY, HTTP_PROXY and NO_PROXY as kubectl reads them."""

from __future__ import annotations

import socket
import threading

import pytest
from kube_client_of import OK, POD, Clock, client_of
from kube_double import Server

from gpuready.adapters.kube_proxy import proxy_from_env

P = {"HTTPS_PROXY": "http://p"}
USED = ("http://p", "HTTPS_PROXY")

# sentence, server, environment, what is used
PROXIES: list[tuple[str, str, dict[str, str], tuple[str, str]]] = [
    ("none set", "https://a", {}, ("", "")),
    ("https", "https://a", {"HTTPS_PROXY": "http://p:3128"}, ("http://p:3128", "HTTPS_PROXY")),
    ("upper case wins, as in Go", "https://a", {**P, "https_proxy": "http://l"}, USED),
    ("lower case", "https://a", {"https_proxy": "http://l"}, ("http://l", "https_proxy")),
    ("no scheme", "https://a", {"HTTPS_PROXY": "p:3128"}, ("http://p:3128", "HTTPS_PROXY")),
    ("HTTP_PROXY is not for https", "https://a", {"HTTP_PROXY": "http://p"}, ("", "")),
    ("HTTP_PROXY is for http", "http://a", {"HTTP_PROXY": "http://p"}, ("http://p", "HTTP_PROXY")),
    ("loopback never", "https://127.0.0.1:6443", P, ("", "")),
    ("localhost never", "https://localhost:6443", P, ("", "")),
    ("the host", "https://a.b", {**P, "NO_PROXY": "x, a.b"}, ("", "")),
    ("a host beneath", "https://k.a.b", {**P, "NO_PROXY": "a.b"}, ("", "")),
    ("only beneath", "https://a.b", {**P, "NO_PROXY": ".a.b"}, USED),
    ("with a star", "https://k.a.b", {**P, "NO_PROXY": "*.a.b"}, ("", "")),
    ("another name with that end", "https://xa.b", {**P, "NO_PROXY": "a.b"}, USED),
    ("an address range", "https://10.1.2.3", {**P, "NO_PROXY": "10.0.0.0/8"}, ("", "")),
    ("another range", "https://11.1.2.3", {**P, "NO_PROXY": "10.0.0.0/8"}, USED),
    ("an IPv6 range", "https://[fd00::1]:6443", {**P, "no_proxy": "fd00::/8"}, ("", "")),
    ("the port", "https://a:6443", {**P, "NO_PROXY": "a:6443"}, ("", "")),
    ("another port", "https://a:6443", {**P, "NO_PROXY": "a:443"}, USED),
    ("everything", "https://a", {**P, "NO_PROXY": "*"}, ("", "")),
]  # fmt: skip


@pytest.mark.parametrize(("server", "env", "expected"), [c[1:] for c in PROXIES], ids=[c[0] for c in PROXIES])
def test_proxy_from_the_environment(server: str, env: dict[str, str], expected: tuple[str, str]) -> None:
    assert proxy_from_env(server, env) == expected


class Socks:
    """A SOCKS5 proxy without passwords (RFC 1928) that carries one connection; `asked`: where to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"socks5://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked: tuple[str, int] | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with self._listener.accept()[0] as here:
            here.recv(2 + 255)  # version, methods
            here.sendall(b"\x05\x00")
            request = here.recv(4 + 256 + 2)
            host = request[5:-2] if request[3] == 3 else socket.inet_ntoa(request[4:8]).encode()
            self.asked = host.decode(), int.from_bytes(request[-2:], "big")
            with socket.create_connection(self.asked) as there:
                here.sendall(b"\x05\x00\x00\x01" + bytes(6))
                pump = threading.Thread(target=_carry, args=(there, here))
                pump.start()
                _carry(here, there)
                pump.join()


def _carry(source: socket.socket, target: socket.socket) -> None:
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


def test_a_socks_proxy_carries_the_connection(server: Server, clock: Clock) -> None:
    proxy = Socks()
    with client_of(server.url, clock, proxy=proxy.url) as client:
        assert client.get(POD) == OK.body
    assert proxy.asked == ("127.0.0.1", int(server.url.rsplit(":", 1)[1]))
