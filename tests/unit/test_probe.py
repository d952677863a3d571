"""`gpuready probe`: one line of JSON and nothing else, whatever the node is like."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def probe(*arguments: str) -> tuple[int, list[Any], str]:
    """Exit code, the lines of the output as JSON, and what went to the error output."""
    done = subprocess.run(
        [sys.executable, "-m", "gpuready", "probe", *arguments], capture_output=True, text=True, timeout=60
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_look_prints_one_line(tmp_path: Path) -> None:
    unknown = {"type": "unknown", "ask": ""}
    hidden = "/proc/driver of the node is not visible here; /sys/module of the node is not visible here"
    wanted = {
        "node": "gpu-1.example.com",
        "gpus": {**unknown, "why": "/sys of the node is not visible here"},
        "kernelDriverVersion": {**unknown, "why": hidden},
        "driverFiles": {**unknown, "why": "/usr of the node is not visible here"},
        "lookedIn": [],
        "deviceNodes": {**unknown, "why": "/dev of the node is not visible here"},
        "kernel": os.uname().release,
        "replayed": False,
        "nonce": "n1",
    }
    found = probe("look", f"--host-prefix={tmp_path}", "--node=gpu-1.example.com", "--nonce=n1")
    assert found == (0, [wanted], "")


def test_cuda_prints_a_report_and_succeeds_where_there_is_no_gpu() -> None:
    code, (report,), errors = probe("cuda", "--node=gpu-1", "--nonce=n1", "--expect=1")
    if report["gpus"]:
        pytest.skip("this machine has a GPU")
    assert (code, report["nonce"], report["node"], report["cuda"], errors) == (0, "n1", "gpu-1", "", "")
    assert report["error"].startswith(("libcuda.so.1 cannot be loaded: ", "cuInit: "))


@pytest.fixture
def host() -> Iterator[Path]:
    """A host's tree with a path so short that a socket can have a name in it."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        yield Path(folder)


def test_clean_removes_our_files_and_says_so(host: Path) -> None:
    plugins, cdi = host / "var/lib/kubelet/device-plugins", host / "var/run/cdi"
    plugins.mkdir(parents=True)
    cdi.mkdir(parents=True)
    (cdi / "gpuready.dev-gpu.json").write_text("{}")
    (cdi / "other.json").write_text("{}")
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(plugins / "nvidia-gpu.sock"))
    removed = ["/var/run/cdi/gpuready.dev-gpu.json", "/var/lib/kubelet/device-plugins/nvidia-gpu.sock"]
    assert probe("clean", f"--host-prefix={host}") == (0, [{"removed": removed, "left": []}], "")
    assert [path.name for path in (*plugins.iterdir(), *cdi.iterdir())] == ["other.json"]
    assert probe("clean", f"--host-prefix={host}") == (0, [{"removed": [], "left": []}], "")


def test_clean_says_what_it_could_not_remove(tmp_path: Path) -> None:
    folder = tmp_path / "var/run/cdi/gpuready.dev-gpu.json"
    folder.mkdir(parents=True)
    left = ["/var/run/cdi/gpuready.dev-gpu.json: Is a directory"]
    assert probe("clean", f"--host-prefix={tmp_path}/") == (0, [{"removed": [], "left": left}], "")


WRONG_USAGE = {
    "no node": (["look"], "Missing option '--node'."),
    "a node that is none": (
        ["look", "--node=a b"],
        "Invalid value for '--node': 'a b' has characters that do not belong there",
    ),
    "a nonce with a quote": (
        ["cuda", "--node=n", '--nonce="'],
        "Invalid value for '--nonce': '\"' has characters that do not belong there",
    ),
    "fewer than no GPU": (
        ["cuda", "--node=n", "--expect=-1"],
        "Invalid value for '--expect': -1 is not in the range 0<=x<=1024.",
    ),
}


@pytest.mark.parametrize("case", WRONG_USAGE)
def test_wrong_usage(case: str) -> None:
    arguments, said = WRONG_USAGE[case]
    code, lines, errors = probe(*arguments)
    assert (code, lines, errors.splitlines()[0]) == (1, [], f"error: {said}")
