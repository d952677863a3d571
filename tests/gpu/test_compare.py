"""The parts of the GPU run that need no GPU: what it compares, and what it writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.gpu import cdi_compare, report, run, smi, smi_sample
from tests.gpu.record import Failed, Record, read

UUID = "GPU-00000000-0000-0000-0000-000000000000"
OURS = {
    "cdiVersion": "0.3.0",
    "kind": "gpuready.dev/gpu",
    "devices": [
        {"name": UUID, "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0", "permissions": "rw"}]}},
        {"name": "all", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia0", "permissions": "rw"}]}},
    ],
    "containerEdits": {
        "env": ["NVIDIA_VISIBLE_DEVICES=void"],
        "mounts": [
            {"hostPath": "/d/libcuda.so.580", "containerPath": "/usr/lib64/libcuda.so.1", "options": ["ro"]},
            {"hostPath": "/d/libcuda.so.580", "containerPath": "/usr/lib64/libcuda.so.580", "options": ["ro"]},
        ],
    },
}
THEIRS = {
    "cdiVersion": "0.5.0",
    "kind": "nvidia.com/gpu",
    "devices": [
        {
            "name": UUID,
            "containerEdits": {
                "deviceNodes": [{"path": "/dev/nvidia0", "major": 195, "fileMode": 438, "permissions": "rwm"}]
            },
        }
    ],
    "containerEdits": {
        "env": ["NVIDIA_CTK_LIBCUDA_DIR=/lib64", "NVIDIA_VISIBLE_DEVICES=void"],
        "mounts": [
            {"hostPath": "/d/libcuda.so.580", "containerPath": "/lib64/libcuda.so.580", "options": ["ro"]},
            {"hostPath": "/d/libGLX_nvidia.so.580", "containerPath": "/lib64/libGLX_nvidia.so.580", "options": ["ro"]},
        ],
        "hooks": [
            {
                "hookName": "createContainer",
                "path": "/usr/bin/nvidia-cdi-hook",
                "args": ["nvidia-cdi-hook", "create-symlinks", "--link", "libcuda.so.580::/lib64/libcuda.so.1"],
            },
            {"hookName": "createContainer", "path": "/x", "args": ["nvidia-cdi-hook", "brand-new"]},
        ],
    },
}


def test_every_field_of_both_cdi_documents_is_a_row() -> None:
    """A field that only one of them has, a differing one and an equal one; names count by mount or by link."""
    graphics = "graphics and ray tracing: out of scope, GPUs are given for computing"
    folders = "folders that glibc searches by itself, under each name; theirs is the path below the driver root"
    both = "/usr/lib64/libcuda.so.1, /usr/lib64/libcuda.so.580"
    beside, by_uuid = "a kind of our own: both can lie side by side", "the kubelet's device IDs are UUIDs, no numbers"
    numbers, variable = "major=195 fileMode=666 permissions=rwm", "tells NVIDIA's own tools where libcuda was mounted"
    symlinks = cdi_compare.HOOKS["create-symlinks"]
    assert [tuple(row) for row in cdi_compare.rows(OURS, THEIRS, UUID)] == [
        ("document", "cdiVersion", "0.3.0", "0.5.0", False, "each of what its own fields need"),
        ("document", "kind", "gpuready.dev/gpu", "nvidia.com/gpu", False, beside),
        ("document", "devices", "UUID, all", "UUID", False, by_uuid),
        ("device node", "/dev/nvidia0", "permissions=rw", numbers, False, cdi_compare.NODE_FIELDS),
        ("mount", "/d/libGLX_nvidia.so.580", "-", "/lib64/libGLX_nvidia.so.580", False, graphics),
        ("mount", "/d/libcuda.so.580", both, "/lib64/libcuda.so.580", False, folders),
        ("mount", "options", "ro", "ro", True, ""),
        ("name to load", "libGLX_nvidia.so.580", "-", "yes", False, graphics),
        ("name to load", "libcuda.so.1", "yes", "yes", True, ""),
        ("name to load", "libcuda.so.580", "yes", "yes", True, ""),
        ("variable", "NVIDIA_CTK_LIBCUDA_DIR", "-", "/lib64", False, variable),
        ("variable", "NVIDIA_VISIBLE_DEVICES", "void", "void", True, ""),
        ("hook", "createContainer create-symlinks", "-", symlinks[0], False, symlinks[1]),
        ("hook", "createContainer nvidia-cdi-hook brand-new", "-", "not known to this comparison", False, "not done"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("first", "theirs", "second", "allowed", "expected"),
    [
        pytest.param(345, 345, 345, smi.EXACT, True, id="equal"),
        pytest.param(345, 346, 345, smi.EXACT, False, id="not equal where nothing is allowed"),
        pytest.param(345, 1200, 1980, smi.EXACT, True, id="between the two scrapes of a value that moves"),
        pytest.param(30, 33, 30, smi.HEAT, False, id="just beyond what is allowed"),
        pytest.param(700, 640, 700, smi.POWER, True, id="within a tenth"),
    ],
)
def test_readings_are_near_when_ours_before_and_after_enclose_theirs(
    first: float, theirs: float, second: float, allowed: smi.Tolerance, expected: bool
) -> None:
    assert smi.near(first, theirs, second, allowed) is expected


def test_a_field_that_this_nvidia_smi_does_not_have_is_left_out_and_the_rest_is_read() -> None:
    """The sample knows no utilization.decoder: nvidia-smi refuses the whole query and names one such field."""
    found = smi.Smi("nvidia-smi", "/x", smi_sample.run).read()
    xml = {"cuda": "13.0", "replays": "0", "remapped.correctable": "0", "remapped.uncorrectable": "0"}
    assert found == {**smi_sample.VALUES, **xml, "remapped.failure": "No"}


def test_each_series_is_compared_and_one_that_we_leave_out_though_nvidia_smi_has_it_differs() -> None:
    page = 'DCGM_FI_DEV_SM_CLOCK{gpu="0"} 345\nDCGM_FI_DEV_ENC_UTIL{gpu="0"} 0\nDCGM_FI_DEV_FB_USED{gpu="0"} 9\n'
    theirs = {"clocks.sm": "345", "utilization.encoder": "[N/A]", "memory.used": "0", "temperature.gpu": "30"}
    rows = smi.compare_metrics(page, theirs, page)
    assert {row["name"]: row["same"] for row in rows} == {
        "ENC_UTIL": None,
        "FB_USED": False,
        "SM_CLOCK": True,
        "GPU_TEMP": False,
        **{name: True for name in smi.PAIRS if name not in ("ENC_UTIL", "FB_USED", "SM_CLOCK", "GPU_TEMP")},
    }


def test_a_record_tells_what_was_done_also_after_a_failure_and_without_this_machines_names(tmp_path: Path) -> None:
    """A failing block is a failed step and stops nothing; UUIDs and the host's name are not in the page."""
    record = Record(tmp_path / "record.jsonl", "/usr/local/nvidia")
    with record.step("good") as step:
        step.said = f"saw {UUID} on big-host"
    with record.step("bad"):
        raise Failed("nothing was there")
    record.figure("time", 1.5, "s")
    record.skip("later", "no time was left")
    (tmp_path / "record.jsonl").open("a").write('{"kind": "step", "cut')
    lines = read(tmp_path / "record.jsonl")
    assert [(s["name"], s["result"], s["said"]) for s in lines["step"]] == [
        ("good", "ok", f"saw {UUID} on big-host"),
        ("bad", "failed", "nothing was there"),
        ("later", "not run", "no time was left"),
    ]
    page = report.redacted(report.markdown(lines, {"gpu": "NVIDIA H100"}, "2026-11-23"), "big-host")
    assert "3 steps: 1 ok, 1 failed, 1 not run." in page
    assert "| saw GPU-redacted on the-machine |" in page
    assert UUID not in json.dumps(page)


@pytest.mark.parametrize(
    ("wheel", "expected"),
    [
        ("rich-15.0.0-py3-none-any.whl", True),
        ("protobuf-7.36.2-cp310-abi3-manylinux2014_x86_64.whl", True),
        ("msgspec-0.22.0-cp{minor}-cp{minor}-manylinux_2_28_x86_64.whl", True),
        ("msgspec-0.22.0-cp39-cp39-manylinux_2_28_x86_64.whl", False),
        ("later-1.0-cp399-abi3-manylinux_2_28_x86_64.whl", False),
        ("rich-15.0.0.tar.gz", False),
    ],
)
def test_only_wheels_that_this_python_can_import_are_unpacked(wheel: str, expected: bool) -> None:
    assert run.fits(wheel.format(minor=f"3{sys.version_info.minor}")) is expected
