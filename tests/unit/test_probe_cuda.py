"""The compute probe against a driver API made of Python, call by call, and against the replayed libcuda."""

from __future__ import annotations

import ctypes
import shutil
import threading
import uuid
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cuda_double import FIRST, SECOND, Driver, Spoil

from gpuready.model.facts.compute import ComputeReport, GpuRun
from gpuready.node import probe_cuda
from gpuready.node.probe_cuda import compute

CAPTURES = Path(__file__).parents[2] / "testbed" / "captures"
ELEMENTS = 1 << 14  # in place of a million, which take this driver of Python a second
Replayed = Callable[[str, tuple[str, ...]], ComputeReport]


@pytest.fixture(autouse=True)
def few_elements(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_cuda, "ELEMENTS", ELEMENTS)


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    for name in ("nvidia0", "nvidiactl", "nvidia-uvm", "null"):
        (tmp_path / name).touch()
    return tmp_path


def timeless(report: ComputeReport) -> ComputeReport:
    gpus = tuple(msgspec.structs.replace(run, seconds=0) for run in report.gpus)
    assert all(0 <= run.seconds < 60 for run in report.gpus)
    return msgspec.structs.replace(report, gpus=gpus)


def ran(driver: Driver, dev: Path, **options: Any) -> ComputeReport:
    return timeless(compute("n1", "gpu-1", load=lambda: driver, dev=dev, **options))


def run(gpu: uuid.UUID = FIRST, **changes: Any) -> GpuRun:
    fields = {"name": "NVIDIA H100 80GB HBM3", "elements": ELEMENTS, "wrong": 0, "seconds": 0}
    return GpuRun(uuid=f"GPU-{gpu}", **(fields | changes))


def report(*gpus: GpuRun, **changes: Any) -> ComputeReport:
    return ComputeReport(**({"nonce": "n1", "node": "gpu-1", "cuda": "12.8", "gpus": gpus} | changes))


def test_every_gpu_computes_and_gives_back_what_it_took(dev: Path) -> None:
    driver = Driver(gpus=(FIRST, SECOND))
    assert ran(driver, dev, expect=2) == report(run(FIRST), run(SECOND))
    assert driver.taken == {}
    pairs = [("cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRelease_v2"), ("cuModuleLoadData", "cuModuleUnload")]
    pairs.append(("cuMemAlloc_v2", "cuMemFree_v2"))
    assert [driver.done.count(take) for take, _ in pairs] == [driver.done.count(give) for _, give in pairs] == [2, 2, 6]


def one_off(values: array[float]) -> None:
    values[-1] += 1


def stale(values: array[float]) -> None:
    """What another run left in the memory: its own sums, right for another nonce."""
    values[:] = probe_cuda.numbers(f"n0/GPU-{FIRST}", ELEMENTS)[2]


def not_numbers(values: array[float]) -> None:
    values[:5] = array("f", [float("nan")] * 5)


def only_half(values: array[float]) -> None:
    values[ELEMENTS // 2 :] = array("f", bytes(2 * ELEMENTS))


SPOILED: dict[str, tuple[Spoil, int]] = {
    "one sum that is off by one, at the very end": (one_off, 1),
    "five results that are no numbers": (not_numbers, 5),
}


@pytest.mark.parametrize("case", SPOILED)
def test_wrong_results_are_counted(case: str, dev: Path) -> None:
    spoil, wrong = SPOILED[case]
    assert ran(Driver(spoil=spoil), dev) == report(run(wrong=wrong))


@pytest.mark.parametrize(("spoil", "at_least"), [(stale, 0.99), (only_half, 0.49)])
def test_results_of_another_run_or_of_half_a_run_are_wrong(spoil: Spoil, at_least: float, dev: Path) -> None:
    (found,) = ran(Driver(spoil=spoil), dev).gpus
    assert at_least * ELEMENTS < found.wrong <= (at_least + 0.02) * ELEMENTS


def test_the_numbers_hang_on_nonce_and_gpu() -> None:
    seeds = ("n1/GPU-1", "n1/GPU-2", "n2/GPU-1")
    drawn = [tuple(part.tobytes() for part in probe_cuda.numbers(seed, 64)) for seed in seeds]
    assert len({part for parts in drawn for part in parts}) == 9
    left, right, total = probe_cuda.numbers("n1/GPU-1", 64)
    assert [a + b for a, b in zip(left, right, strict=True)] == list(total)
    assert drawn[0] == tuple(part.tobytes() for part in probe_cuda.numbers("n1/GPU-1", 64))


FAILING: dict[str, tuple[dict[str, int], tuple[str, ...], dict[str, Any]]] = {
    "memory runs out": (
        {"cuMemAlloc_v2": 2},
        (),
        {"elements": 0, "error": "cuMemAlloc_v2: CUDA_ERROR_OUT_OF_MEMORY (2)"},
    ),
    "the PTX compiler is missing": (
        {"cuModuleLoadData": 221},
        (),
        {
            "elements": 0,
            "error": "cuModuleLoadData: CUDA_ERROR_JIT_COMPILER_NOT_FOUND (221): "
            "libnvidia-ptxjitcompiler.so.1 is not in the container",
        },
    ),
    "the kernel crashes, and so does all cleaning up": (
        dict.fromkeys(("cuCtxSynchronize", "cuMemFree_v2", "cuModuleUnload", "cuDevicePrimaryCtxRelease_v2"), 700),
        (),
        {"elements": 0, "error": "cuCtxSynchronize: CUDA_ERROR_ILLEGAL_ADDRESS (700)"},
    ),
    "the GPU is lost before it says who it is": (
        {"cuDeviceGet": 999},
        (),
        {"uuid": "", "name": "", "elements": 0, "error": "cuDeviceGet: CUDA_ERROR_UNKNOWN (999)"},
    ),
    "an error that has no name": (
        {"cuLaunchKernel": 4242},
        (),
        {"elements": 0, "error": "cuLaunchKernel: unknown error (4242)"},
    ),
    "a driver too old to name errors": (
        {"cuLaunchKernel": 700},
        ("cuGetErrorName",),
        {"elements": 0, "error": "cuLaunchKernel: unknown error (700)"},
    ),
    "a library without a call that is needed": (
        {},
        ("cuDevicePrimaryCtxRetain",),
        {"elements": 0, "error": "cuDevicePrimaryCtxRetain: this libcuda.so.1 does not have it (-1)"},
    ),
    "a driver older than CUDA 11.4": ({}, ("cuDeviceGetUuid_v2",), {}),
}


@pytest.mark.parametrize("case", FAILING)
def test_on_one_gpu_when(case: str, dev: Path) -> None:
    fail, lacks, changes = FAILING[case]
    driver = Driver(fail=fail, lacks=(*lacks, "gpuready_replay"))
    wanted = msgspec.structs.replace(run(), **changes)
    assert ran(driver, dev) == report(wanted)


AT_THE_START: dict[str, tuple[dict[str, int], tuple[str, ...], str]] = {
    "no device node": (
        {"cuInit": 100},
        (),
        "cuInit: CUDA_ERROR_NO_DEVICE (100): no GPU can be opened in this container; {dev} has no nvidia device node",
    ),
    "no nvidia-uvm": (
        {"cuInit": 999},
        ("nvidia0", "nvidiactl"),
        "cuInit: CUDA_ERROR_UNKNOWN (999); {dev} has nvidia0, nvidiactl; it lacks nvidia-uvm",
    ),
    "control nodes but no GPU's": (
        {"cuInit": 100},
        ("nvidia-uvm", "nvidiactl"),
        "cuInit: CUDA_ERROR_NO_DEVICE (100): no GPU can be opened in this container; "
        "{dev} has nvidia-uvm, nvidiactl; it lacks nvidia<number>",
    ),
    "a library of another version": (
        {"cuInit": 803},
        ("nvidia-uvm", "nvidia7", "nvidiactl"),
        "cuInit: CUDA_ERROR_SYSTEM_DRIVER_MISMATCH (803): libcuda.so.1 is of another version than the node's kernel "
        "driver; {dev} has nvidia-uvm, nvidia7, nvidiactl",
    ),
}


@pytest.mark.parametrize("case", AT_THE_START)
def test_nothing_runs_with(case: str, tmp_path: Path) -> None:
    fail, nodes, said = AT_THE_START[case]
    for name in nodes:
        (tmp_path / name).touch()
    assert ran(Driver(fail=fail), tmp_path) == report(cuda="", error=said.format(dev=tmp_path))


def test_fewer_gpus_than_were_asked_for(dev: Path) -> None:
    said = f"2 GPUs were asked for and 1 are visible; {dev} has nvidia-uvm, nvidia0, nvidiactl"
    assert ran(Driver(), dev, expect=2) == report(run(), error=said)


def test_no_gpu_at_all(dev: Path) -> None:
    said = f"no GPU is visible; {dev} has nvidia-uvm, nvidia0, nvidiactl"
    assert ran(Driver(gpus=()), dev) == report(error=said)


def test_a_driver_that_never_returns_ends_the_wait_and_keeps_what_was_done(dev: Path) -> None:
    driver = Driver(gpus=(FIRST, SECOND))
    waiting = threading.Event()
    launch = Driver.do_cuCtxSynchronize

    def hang(self: Driver) -> None:
        launch(self)
        if self.done.count("cuCtxSynchronize") == 2:
            waiting.wait(60)

    driver.__class__ = type("Hanging", (Driver,), {"do_cuCtxSynchronize": hang})
    try:
        found = ran(driver, dev, seconds=1)
    finally:
        waiting.set()
    said = "cuCtxSynchronize has not returned for 1 s: the GPU or its driver hangs"
    assert found == report(run(FIRST), error=said)


def test_what_was_not_foreseen_is_said_too(dev: Path) -> None:
    def surprise(_: array[float]) -> None:
        raise RuntimeError("surprise")

    found = ran(Driver(spoil=surprise), dev)
    assert found == report(error="the probe broke off: RuntimeError: surprise")


def test_a_mig_device_bears_its_own_kind_of_uuid(dev: Path) -> None:
    name = "NVIDIA A100-SXM4-40GB MIG 1g.5gb"
    assert ran(Driver(name=name), dev) == report(msgspec.structs.replace(run(name=name), uuid=f"MIG-{FIRST}"))


def test_a_name_with_control_characters_is_cleaned(dev: Path) -> None:
    assert ran(Driver(name="NVIDIA\x1b[31m H100\n"), dev) == report(run(name="NVIDIA[31m H100"))


def test_no_library(dev: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe_cuda, "KNOWN_FOLDERS", (str(dev / "elsewhere"),))
    reason = "libgpuready-absent.so.1: cannot open shared object file: No such file or directory"
    said = f"libcuda.so.1 cannot be loaded: {reason}"

    def absent() -> Any:
        return ctypes.CDLL("libgpuready-absent.so.1")

    found = compute("n1", "gpu-1", load=absent, dev=dev)
    assert found == report(cuda="", error=f"{said} (the container was given no driver libraries)")
    (dev / "elsewhere").mkdir()
    (dev / "elsewhere" / "libcuda.so.1").touch()
    found = compute("n1", "gpu-1", load=absent, dev=dev)
    where = f" (it lies in {dev}/elsewhere, where the loader does not look, or refused it)"
    assert found == report(cuda="", error=said + where)


def test_a_library_that_replays_is_named_so(dev: Path) -> None:
    assert ran(Driver(lacks=()), dev) == report(run(), replayed=True)


@pytest.fixture
def replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Replayed:
    """The testbed's libcuda for a capture, with these device nodes in place of /dev."""
    if not shutil.which("gcc"):
        pytest.skip("no gcc to build the replayed libcuda with")
    from testbed.replay import materialise

    monkeypatch.setattr(probe_cuda, "ELEMENTS", 1 << 20)

    def probe(capture: str, nodes: tuple[str, ...]) -> ComputeReport:
        dev = tmp_path / "dev"
        for name in nodes:
            (dev / name).parent.mkdir(parents=True, exist_ok=True)
            (dev / name).touch()
        node = materialise(CAPTURES / f"{capture}.json", tmp_path / "node", dev=str(dev))
        library = node.driver / "lib64" / "libcuda.so.1"
        return timeless(compute("n1", "gpu-1", load=lambda: ctypes.CDLL(str(library)), dev=dev))

    return probe


def test_the_replayed_library_computes(replayed: Replayed) -> None:
    found = replayed("constructed-1xh100", ("nvidia0", "nvidiactl", "nvidia-uvm"))
    gpu = GpuRun(
        uuid="GPU-a68efe9f-5a0f-56cd-8eb9-8619f1abfdd7",
        name="NVIDIA H100 80GB HBM3 (replayed)",
        elements=1 << 20,
        wrong=0,
        seconds=0,
    )
    assert found == report(gpu, cuda="13.0", replayed=True)


def test_the_replayed_library_without_its_device_nodes(replayed: Replayed, tmp_path: Path) -> None:
    found = replayed("constructed-1xh100", ("nvidiactl",))
    said = "cuInit: CUDA_ERROR_NO_DEVICE (100): no GPU can be opened in this container"
    has = f"{tmp_path}/dev has nvidiactl; it lacks nvidia<number>, nvidia-uvm"
    assert found == report(cuda="", error=f"{said}; {has}", replayed=True)
