"""A client and the server that answers it, over plain HTTP; login/ has one with TLS."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kube_client_of import OK, Clock, client_of
from kube_double import Server

from gpuready.adapters.kube import Client


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(None, tmp_path)
    server.replies = [OK]
    yield server
    server.close()


@pytest.fixture
def client(server: Server, clock: Clock) -> Iterator[Client]:
    with client_of(server.url, clock) as client:
        yield client
