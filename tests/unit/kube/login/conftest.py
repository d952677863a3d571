"""A server that asks for client certificates, and no proxy on the way to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kube_double import Server
from kube_users import CA, SERVER, without_proxies


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(SERVER, tmp_path, client_ca=CA.pem)
    yield server
    server.close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    without_proxies(monkeypatch)
