"""NVML through the replayed library: what is asked, and what becomes of refusals and of lost GPUs."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from node_builders import NodeFolders, node_folders

from gpuready.model.unknown import Unknown
from gpuready.node.devices import preferred
from gpuready.node.gpus import Gpu, GpuEvent, Refused, Vitals, busid_for_sysfs
from gpuready.node.nvml import Nvml, NvmlError, open_nvml
from gpuready.node.sysfs import numa_node, pci_class, product_name

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="the replayed library is built with gcc")
Open = Callable[[str], tuple[Nvml, NodeFolders]]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    made: list[Nvml] = []

    def start(capture: str) -> tuple[Nvml, NodeFolders]:
        folders = node_folders(tmp_path, capture)
        made.append(open_nvml((folders.host / "driver/lib64/libnvidia-ml.so.1").resolve(), folders.sys))
        return made[-1], folders

    yield start
    for one in made:
        one.close()


@needs_compiler
def test_a_t4_as_captured(opened: Open) -> None:
    nvml, _ = opened("constructed-1xt4")
    found = nvml.snapshot()
    assert nvml.replayed is True
    assert (found.driver, found.refused, len(found.gpus)) == ("580.65.06", (), 1)
    gpu = found.gpus[0]
    assert gpu == Gpu(
        index=0,
        uuid=gpu.uuid,
        minor=0,
        name="Tesla T4",
        memory_mib=15360,
        pci=gpu.pci,
        compute=(7, 5),
        mig=None,
        vgpu=False,
        clique=None,
        numa=gpu.numa,
        pci_class="030200",
    )


@needs_compiler
def test_eight_h100_with_their_numa_nodes(opened: Open) -> None:
    nvml, folders = opened("constructed-8xh100")
    found = nvml.snapshot()
    assert [(gpu.index, gpu.minor, gpu.name, gpu.memory_mib, gpu.compute, gpu.mig) for gpu in found.gpus] == [
        (index, index, "NVIDIA H100 80GB HBM3", 81559, (9, 0), False) for index in range(8)
    ]
    told = [
        int((folders.sys / "bus/pci/devices" / busid_for_sysfs(str(gpu.pci)) / "numa_node").read_text())
        for gpu in found.gpus
    ]
    assert [gpu.numa for gpu in found.gpus] == told
    assert set(told) == {0, 1}


@needs_compiler
def test_mig_mode_is_seen(opened: Open) -> None:
    nvml, _ = opened("constructed-1xa100-mig")
    assert [gpu.mig for gpu in nvml.snapshot().gpus] == [True]


@needs_compiler
def test_no_gpu_is_an_answer(opened: Open) -> None:
    nvml, _ = opened("constructed-none")
    found = nvml.snapshot()
    assert (found.gpus, found.refused, nvml.vitals(), nvml.samples(), nvml.links()) == ((), (), {}, (), {})


@needs_compiler
def test_a_lost_gpu_is_refused_and_the_others_are_as_before(opened: Open) -> None:
    nvml, folders = opened("constructed-8xh100")
    before = nvml.snapshot()
    looked = nvml.vitals()
    folders.replayed.lose(3)
    after = nvml.snapshot()
    assert after.gpus == (*before.gpus[:3], *before.gpus[4:])
    assert after.refused == (Refused(index=3, why="GPU is lost"),)
    lost = before.gpus[3].uuid
    assert nvml.vitals() == looked | {lost: Vitals(error="GPU is lost")}
    assert {sample.uuid for sample in nvml.samples() if not sample.values} == {lost}
    assert {uuid for pair in nvml.links() for uuid in pair} == {gpu.uuid for gpu in after.gpus}
    folders.replayed.restore()
    assert (nvml.snapshot(), nvml.vitals()) == (before, looked)


@needs_compiler
def test_samples_have_only_what_the_gpu_supports(opened: Open) -> None:
    nvml, _ = opened("constructed-1xt4")
    nvml.snapshot()
    (sample,) = nvml.samples()
    supported = {
        *("SM_CLOCK", "MEM_CLOCK", "GPU_TEMP", "POWER_USAGE", "TOTAL_ENERGY_CONSUMPTION", "PCIE_REPLAY_COUNTER"),
        *("GPU_UTIL", "MEM_COPY_UTIL", "ENC_UTIL", "DEC_UTIL", "FB_FREE", "FB_USED", "FB_RESERVED"),
    }
    assert set(sample.values) - {"VGPU_LICENSE_STATUS"} == supported, "a T4 has no row remapping and no memory sensor"


@needs_compiler
def test_units(opened: Open) -> None:
    """Milliwatts become watts, bytes MiB; the rest is as NVML says."""
    nvml, folders = opened("constructed-1xh100")
    nvml.snapshot()
    for function, value in (("nvmlDeviceGetPowerUsage", 71234), ("nvmlDeviceGetTotalEnergyConsumption", 987654321)):
        folders.replayed.answer(0, function, value)
    values = nvml.samples()[0].values
    assert (values["POWER_USAGE"], values["TOTAL_ENERGY_CONSUMPTION"]) == (71.234, 987654321)
    assert values["FB_FREE"] + values["FB_USED"] + values["FB_RESERVED"] == pytest.approx(81559, abs=3)


@needs_compiler
def test_links_are_scored_and_lead_to_a_choice_on_one_side_of_the_board(opened: Open) -> None:
    nvml, _ = opened("constructed-8xh100")
    gpus = nvml.snapshot().gpus
    began = time.process_time()
    links = nvml.links()
    assert time.process_time() - began < 1, "a node with eight GPUs"
    assert len(links) == 8 * 7 // 2
    by_uuid = {gpu.uuid: gpu for gpu in gpus}
    chosen = preferred([gpu.uuid for gpu in gpus], [gpus[5].uuid], 4, links)
    assert {by_uuid[uuid].numa for uuid in chosen} == {gpus[5].numa}


@needs_compiler
def test_events_name_the_gpu_and_the_xid(opened: Open) -> None:
    nvml, folders = opened("constructed-8xh100")
    gpus = nvml.snapshot().gpus
    assert nvml.listen() == {}
    assert nvml.wait(10) is None
    folders.replayed.xid(5, 79)
    assert nvml.wait(1000) == GpuEvent(uuid=gpus[5].uuid, xid=79)
    assert nvml.wait(10) is None


@needs_compiler
def test_a_lost_gpu_ends_the_wait_and_listening_anew_leaves_it_out(opened: Open) -> None:
    nvml, folders = opened("constructed-8xh100")
    gpus = nvml.snapshot().gpus
    nvml.listen()
    folders.replayed.lose(2)
    with pytest.raises(NvmlError, match="events cannot be waited for: GPU is lost"):
        nvml.wait(10)
    assert nvml.listen() == {gpus[2].uuid: "its events cannot be listened to: GPU is lost"}
    folders.replayed.xid(0, 48)
    assert nvml.wait(1000) == GpuEvent(uuid=gpus[0].uuid, xid=48)


@needs_compiler
def test_closing_waits_for_the_one_who_waits(opened: Open) -> None:
    nvml, _ = opened("constructed-1xh100")
    nvml.snapshot()
    nvml.listen()
    got: list[Any] = []
    waiting = threading.Thread(target=lambda: got.append(nvml.wait(300)))
    waiting.start()
    time.sleep(0.05)
    nvml.close()
    waiting.join(5)
    assert got == [None]
    with pytest.raises(NvmlError, match="nobody listens"):
        nvml.wait(10)


@needs_compiler
def test_another_library_and_other_gpus_are_noticed(opened: Open) -> None:
    nvml, folders = opened("constructed-1xh100")
    real = nvml.path
    assert (nvml.is_of(real), nvml.gpus_appeared()) == (True, False)
    (folders.sys / "bus/pci/drivers/nvidia/0000:99:00.0").mkdir()
    assert nvml.gpus_appeared() is True
    copy = real.with_name("libnvidia-ml.so.590.1")
    copy.write_bytes(real.read_bytes())
    assert nvml.is_of(copy) is False
    os.replace(copy, real)
    assert nvml.is_of(real) is False, "the same name, another file"


@pytest.mark.parametrize(("sentence", "content"), [("no file", None), ("no library", b"x"), ("an empty file", b"")])
def test_what_cannot_be_loaded_is_said_with_its_path(sentence: str, content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "libnvidia-ml.so.1"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NvmlError) as raised:
        open_nvml(path)
    assert raised.value.what.startswith(f"cannot load {path}: "), sentence
    assert "--lib-dir" in raised.value.next


def test_sysfs(tmp_path: Path) -> None:
    device = tmp_path / "bus/pci/devices/0000:1a:00.0"
    device.mkdir(parents=True)
    for text, expected in (("1\n", 1), ("0\n", 0), ("-1\n", None), ("x\n", None), ("", None)):
        (device / "numa_node").write_text(text)
        assert numa_node(tmp_path, "0000:1a:00.0") == expected
    assert numa_node(tmp_path, "0000:1b:00.0") is None
    (device / "class").write_text("0x030200\n")
    assert pci_class(tmp_path, "0000:1a:00.0") == "030200"
    name = tmp_path / "class/dmi/id/product_name"
    assert product_name(tmp_path) == Unknown(f"{name}: No such file or directory")
    assert busid_for_sysfs("00000000:1A:00.0") == "0000:1a:00.0"
    assert busid_for_sysfs("00010000:1A:00.0") == "0000:1a:00.0"
