from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from gpuready.node import faults
from gpuready.node.cdi import FILE as CDI_FILE
from gpuready.node.clean import clean
from gpuready.node.health import Fault, Health

RESET = Health(fault=Fault(reason="Xid 48 at T: Double Bit ECC Error", xid=48, energy_mj=5000, clean_since=12.0))
PASSING = Health(fault=Fault(reason="the GPU does not answer: GPU is lost"))


def test_only_what_a_reset_must_clear_is_kept_over_a_restart(tmp_path: Path) -> None:
    faults.save(tmp_path, "boot-1", {"GPU-1": RESET, "GPU-2": PASSING, "GPU-3": Health()})
    kept = {"GPU-1": Fault(reason="Xid 48 at T: Double Bit ECC Error", xid=48, energy_mj=5000)}
    assert faults.load(tmp_path, "boot-1") == kept
    assert faults.load(tmp_path, "boot-2") == {}, "a reboot resets every GPU"
    assert os.stat(tmp_path / faults.FILE).st_mode & 0o777 == 0o600
    assert not faults.FILE.endswith((".json", ".yaml")), "a container runtime would read it as a CDI document"
    faults.save(tmp_path, "boot-1", {"GPU-1": Health()})
    assert os.listdir(tmp_path) == []
    faults.save(tmp_path / "none", "boot-1", {"GPU-1": RESET})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"[]",
        b'{"boot": "boot-1", "faults": {"GPU-1": {"xid": "48"}}}',
        b'{"boot": "boot-1", "faults": ' + b"[" * 100_000,
        b'{"boot": "boot-1", "faults": {}' + b" " * faults.LARGEST + b"}",
        b"\xff\xfe",
    ],
)
def test_a_file_that_is_not_ours_says_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / faults.FILE).write_bytes(content)
    assert faults.load(tmp_path, "boot-1") == {}


def lay(tmp_path: Path) -> tuple[Path, Path, Path]:
    """kubelet dir, CDI dir, plugin socket of an agent that is gone, and files of others."""
    kubelet, cdi_dir = tmp_path / "kubelet", tmp_path / "cdi"
    (kubelet / "device-plugins").mkdir(parents=True)
    cdi_dir.mkdir()
    for path in (
        cdi_dir / CDI_FILE,
        cdi_dir / faults.FILE,
        cdi_dir / "nvidia.yaml",
        kubelet / "device-plugins/other.sock",
    ):
        path.touch()
    plugin = kubelet / "device-plugins/nvidia-gpu.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(plugin))
    return kubelet, cdi_dir, plugin


def test_clean_takes_what_is_ours_and_says_so(tmp_path: Path) -> None:
    kubelet, cdi_dir, plugin = lay(tmp_path)
    assert clean(kubelet, cdi_dir) == ([cdi_dir / CDI_FILE, cdi_dir / faults.FILE, plugin], [])
    assert sorted(os.listdir(cdi_dir)) == ["nvidia.yaml"]
    assert os.listdir(kubelet / "device-plugins") == ["other.sock"]
    assert clean(kubelet, cdi_dir) == ([], [])
    assert clean(tmp_path / "none", tmp_path / "none") == ([], [])


def test_clean_goes_on_past_a_file_that_stays(tmp_path: Path) -> None:
    kubelet, cdi_dir, plugin = lay(tmp_path)
    (cdi_dir / CDI_FILE).unlink()
    (cdi_dir / CDI_FILE).mkdir()
    assert clean(kubelet, cdi_dir) == (
        [cdi_dir / faults.FILE, plugin],
        [(cdi_dir / CDI_FILE, "Is a directory")],
    )


def test_clean_leaves_the_socket_of_a_living_plugin(tmp_path: Path) -> None:
    kubelet, cdi_dir, plugin = lay(tmp_path)
    plugin.unlink()
    with socket.socket(socket.AF_UNIX) as living:
        living.bind(str(plugin))
        living.listen(1)
        assert clean(kubelet, cdi_dir) == ([cdi_dir / CDI_FILE, cdi_dir / faults.FILE], [])
        assert plugin.is_socket()


def test_boot_id_is_that_of_the_machine() -> None:
    assert asyncio.run(asyncio.to_thread(faults.boot_id)) == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
