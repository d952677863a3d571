"""Capture: what is asked is written down byte for byte, and no name of the machine with it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest
from replayed import CAPTURES, EIGHT, H100, IDENTITY, MIG, ROOT, ask

from testbed import capture, redact
from testbed.replay import ReplayedNode, materialise

REAL_UUID, REAL_SERIAL = "GPU-5d0c7a51-9f1e-4a3b-8c2d-77e0b1a2c3d4", "1324523031337"


def run(out: Path, library: Path, name: str = "somewhere") -> subprocess.CompletedProcess[str]:
    """capture.py by its path, as on a GPU machine."""
    command = [sys.executable, str(ROOT / "testbed" / "capture.py"), str(out), "--lib", str(library), "--name", name]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=60)


def record(node: ReplayedNode, out: Path, name: str = "somewhere") -> dict[str, Any]:
    done = run(out, node.driver / "lib64" / "libnvidia-ml.so.1", name)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("path", [EIGHT, MIG], ids=lambda p: p.stem)
def test_recording_a_replay_gives_the_same_capture(path: Path, tmp_path: Path) -> None:
    node = materialise(path, tmp_path / "node")
    again = record(node, tmp_path / "again.json", node.name)
    assert {k: again[k] for k in ("cuda", "gpus", "models")} == {k: node.capture[k] for k in ("cuda", "gpus", "models")}
    assert {k: again["nvml"][k] for k in ("calls", "fields")} == {
        k: node.capture["nvml"][k] for k in ("calls", "fields")
    }


AGAIN = "the questions or the machines changed: run python -m testbed.construct"


def test_the_constructed_captures_are_what_the_builder_writes(tmp_path: Path) -> None:
    made_with = json.loads(H100.read_text(encoding="utf-8"))["bindings"]
    if capture.bindings() != made_with:
        pytest.skip(f"the captures were written with nvidia-ml-py {made_with}, installed is {capture.bindings()}")
    done = subprocess.run(
        [sys.executable, "-m", "testbed.construct", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept = {p.name: p.read_text(encoding="utf-8") for p in CAPTURES if p.name.startswith("constructed-")}
    assert {p.name: p.read_text(encoding="utf-8") for p in tmp_path.iterdir()} == kept, AGAIN


@pytest.mark.parametrize(
    ("replayed", "says"),
    [
        pytest.param(False, "libnvidia-ml.so.1: cannot open shared object file", id="no library"),
        pytest.param(True, "does not answer: Driver Not Loaded", id="a library without a driver"),
    ],
)
def test_a_machine_that_cannot_be_captured(replayed: bool, says: str, tmp_path: Path) -> None:
    node = materialise(H100, tmp_path / "node")
    node.refuse_init(9)
    folder = node.driver / "lib64" if replayed else tmp_path
    done = run(tmp_path / "out.json", folder / "libnvidia-ml.so.1")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, "", 1)
    assert says in done.stderr
    assert not (tmp_path / "out.json").exists()


def forms(name: str) -> set[str]:
    """How a name could stand in a capture."""
    found = {name.lower(), name.lower().encode().hex(), name.upper().encode().hex()}
    if name.startswith("GPU-"):
        found |= {name[4:].lower(), name[4:].encode().hex(), uuid.UUID(name[4:]).hex}
    return found


def test_a_recording_holds_neither_uuid_nor_serial_number_of_the_machine(tmp_path: Path) -> None:
    text = H100.read_text(encoding="utf-8")
    gpu = json.loads(text)["gpus"][0]
    for fake, real in ((gpu["uuid"], REAL_UUID), (gpu["serial"], REAL_SERIAL)):
        text = text.replace(fake, real).replace(fake.encode().hex(), real.encode().hex())
    planted = tmp_path / "planted.json"
    planted.write_text(text, encoding="utf-8")
    node = materialise(planted, tmp_path / "node")
    assert [(g["uuid"], g["serial"]) for g in ask(node, IDENTITY)] == [(REAL_UUID, REAL_SERIAL)]
    found = record(node, tmp_path / "out.json")
    written = (tmp_path / "out.json").read_text(encoding="utf-8").lower()
    assert [f for real in (REAL_UUID, REAL_SERIAL) for f in forms(real) if f in written] == []
    gpu = found["gpus"][0]
    assert (gpu["uuid"], gpu["serial"]) == (redact.fake_uuid("GPU", "somewhere/0"), "1650000000000")
    assert f"nvmlDeviceGetUUID 0 p{gpu['handle']} b{gpu['uuid'].encode().hex()} l" in found["nvml"]["calls"]


def capture_with(files: dict[str, str], calls: list[str]) -> dict[str, Any]:
    gpu = {"index": 0, "uuid": REAL_UUID, "serial": REAL_SERIAL, "cluster": "", "mig": []}
    return {"name": "x", "gpus": [gpu], "nvml": {"calls": calls, "fields": []}, "node": {"files": files}}


def test_names_are_replaced_wherever_they_stand() -> None:
    other = "GPU-0a1b2c3d-0000-4000-8000-00000000beef"
    files = {
        f"/proc/driver/nvidia/gpus/{REAL_UUID}/information": f"GPU UUID: {REAL_UUID.upper()}\nserial {REAL_SERIAL}\n",
        "/proc/driver/nvidia/version": "NVRM 580 (root@build-7.example.net)\nmade on big-iron-7, not big-iron-77",
        "/etc/os-release": f"neighbour {other}",
    }
    calls = [
        f"f 0 s{REAL_UUID.encode().hex()} o16::{uuid.UUID(REAL_UUID[4:]).hex}",
        f"g 0 b{REAL_SERIAL.encode().hex()}",
    ]
    found = capture_with(files, calls)
    done = capture.redact(found, capture.names_of(found, ("big-iron-7",)))
    fake, stranger, serial = redact.fake_uuid("GPU", "x/0"), redact.fake_uuid("GPU", "x/other/1"), "1650000000000"
    assert done["node"]["files"] == {
        f"/proc/driver/nvidia/gpus/{fake}/information": f"GPU UUID: {fake}\nserial {serial}\n",
        "/proc/driver/nvidia/version": "NVRM 580 (builder@node)\nmade on node, not big-iron-77",
        "/etc/os-release": f"neighbour {stranger}",
    }
    fake_bytes = uuid.UUID(fake[4:]).hex
    assert done["nvml"]["calls"] == [f"f 0 s{fake.encode().hex()} o16::{fake_bytes}", f"g 0 b{serial.encode().hex()}"]


def test_nothing_is_written_when_a_name_is_left() -> None:
    """A host name as bytes cannot be replaced by one of another length."""
    found = capture_with({}, ["f 0 b" + b"big-iron-7".hex()])
    with pytest.raises(redact.StillThere, match=r"a host name of this machine \(10 characters\) is left"):
        capture.redact(found, capture.names_of(found, ("big-iron-7",)))


def test_the_name_of_this_machine_counts_unless_every_machine_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {}
    for host in ("big-iron-7.example.net", "localhost.localdomain", "gpu"):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        names[host] = capture.host_names()
    assert names == {
        "big-iron-7.example.net": ("big-iron-7.example.net", "big-iron-7"),
        "localhost.localdomain": (),
        "gpu": (),
    }
