"""A small image, a registry, and no logins of whoever runs the tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_double import BINARY, RunRegistry, free_port, listening

from gpuready.adapters import oci
from gpuready.adapters.oci import Entry, Image


@pytest.fixture
def image(tmp_path: Path) -> Image:
    layout = tmp_path / "layout"
    oci.prepare(layout)
    layers = [
        oci.write_layer({"etc/one": Entry(b"1" * 4096)}, "one", layout),
        oci.write_layer({"etc/two": Entry(os.urandom(3 << 20))}, "two", layout),
    ]
    config = {"architecture": "amd64", "os": "linux", "config": {"Labels": {oci.OURS: "0"}}}
    return oci.finish(layout, layers, "localhost/x:1", config)


@pytest.fixture(autouse=True)
def no_logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def run_registry(tmp_path: Path) -> Iterator[RunRegistry]:
    with contextlib.ExitStack() as stack:

        def start(auth: str = "", tls: str = "") -> str:
            port = free_port()
            config = tmp_path / f"registry-{port}.yml"
            storage = f"storage: {{filesystem: {{rootdirectory: {tmp_path}/registry-{port}}}}}"
            listen = f"http: {{addr: '127.0.0.1:{port}', secret: x{tls}}}"
            config.write_text(f"version: 0.1\nlog: {{level: error}}\n{storage}\n{listen}\n{auth}\n")
            assert BINARY is not None
            with (tmp_path / f"registry-{port}.log").open("wb") as log:
                process = subprocess.Popen([BINARY, "serve", str(config)], stdout=log, stderr=log)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            listening(port)
            return f"127.0.0.1:{port}"

        yield start
