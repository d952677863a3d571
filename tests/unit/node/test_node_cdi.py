from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from node_builders import gpu

from gpuready.node import cdi, files
from gpuready.node.injection import DriverFiles, Injection, plan

GOLDEN = Path(__file__).parent / "golden"
FILES = DriverFiles(
    libraries={
        "libcuda.so": "/usr/local/nvidia/lib64/libcuda.so.580.65.06",
        "libcuda.so.1": "/usr/local/nvidia/lib64/libcuda.so.580.65.06",
        "libcuda.so.580.65.06": "/usr/local/nvidia/lib64/libcuda.so.580.65.06",
        "libnvidia-ml.so.1": "/usr/local/nvidia/lib64/libnvidia-ml.so.580.65.06",
    },
    nvidia_smi="/usr/local/nvidia/bin/nvidia-smi",
)
NODES = frozenset(("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia0", "nvidia1"))
TWO = plan([gpu(0), gpu(1)], NODES, FILES, "x86_64")


def test_two_gpus_golden() -> None:
    assert cdi.text(TWO) == (GOLDEN / "cdi-two-gpus.json").read_text()


def test_all_is_the_union_and_the_shared_things_stand_once() -> None:
    told = cdi.document(TWO)
    nodes = {
        device["name"]: [node["path"] for node in device["containerEdits"]["deviceNodes"]] for device in told["devices"]
    }
    assert nodes == {
        gpu(0).uuid: ["/dev/nvidia0"],
        gpu(1).uuid: ["/dev/nvidia1"],
        "all": ["/dev/nvidia0", "/dev/nvidia1"],
    }
    assert told["containerEdits"]["env"] == ["NVIDIA_VISIBLE_DEVICES=void"]
    assert [sorted(device["containerEdits"]) for device in told["devices"]] == [["deviceNodes"]] * 3


@pytest.mark.parametrize(
    ("sentence", "name", "expected"),
    [
        ("a UUID begins with a letter", "GPU-1", "0.3.0"),
        ("a name that begins with a digit needs 0.5.0", "0", "0.5.0"),
    ],
)
def test_version_is_the_least_that_the_content_needs(sentence: str, name: str, expected: str) -> None:
    made = Injection(control=(), devices={name: "/dev/nvidia0"}, mounts=())
    assert cdi.document(made)["cdiVersion"] == expected, sentence


def test_empty_edits_are_left_out() -> None:
    made = Injection(control=(), devices={"GPU-1": "/dev/nvidia0"}, mounts=(), env=())
    assert cdi.document(made)["containerEdits"] == {}


def test_replace_writes_whole_files_and_only_when_something_changed(tmp_path: Path) -> None:
    path = tmp_path / "cdi" / "x.json"
    assert files.replace(path, "one") is True
    before = path.stat()
    assert stat.S_IMODE(before.st_mode) == 0o644
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
    assert files.replace(path, "one") is False
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert files.replace(path, "on") is True
    assert path.read_text() == "on"
    assert path.stat().st_ino != before.st_ino, "renamed into place, never written in place"
    assert os.listdir(path.parent) == ["x.json"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    files.replace(path, "one")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.replace(path, "two")
    assert path.read_text() == "one"
    assert os.listdir(tmp_path) == ["x.json"]


def test_the_golden_file_is_json_without_unknown_keys() -> None:
    told = json.loads((GOLDEN / "cdi-two-gpus.json").read_text())
    assert set(told) == {"cdiVersion", "kind", "devices", "containerEdits"}
    assert set(told["containerEdits"]) == {"env", "deviceNodes", "mounts"}
    assert {key for mount in told["containerEdits"]["mounts"] for key in mount} == {
        "hostPath",
        "containerPath",
        "options",
    }
