from __future__ import annotations

from typing import Any

import pytest
from node_builders import gpu, snapshot, t4

from gpuready.model.unknown import Unknown
from gpuready.node.gpus import Snapshot
from gpuready.node.labels import VALID_VALUE, family, labels, mixed_models, sanitised

DRIVER = {
    "cuda.driver-version.major": "580",
    "cuda.driver-version.minor": "65",
    "cuda.driver-version.revision": "06",
    "cuda.driver-version.full": "580.65.06",
    "cuda.driver.major": "580",
    "cuda.driver.minor": "65",
    "cuda.driver.rev": "06",
    "cuda.runtime-version.major": "13",
    "cuda.runtime-version.minor": "0",
    "cuda.runtime-version.full": "13.0",
    "cuda.runtime.major": "13",
    "cuda.runtime.minor": "0",
}
COMMON = {
    "gfd.timestamp": "1700000000",
    "vgpu.present": "false",
    "gpu.machine": "DGXH100",
    "gpu.replicas": "1",
    "gpu.sharing-strategy": "none",
    "mps.capable": "false",
}
H100 = {
    "gpu.product": "NVIDIA-H100-80GB-HBM3",
    "gpu.memory": "81559",
    "gpu.family": "hopper",
    "gpu.compute.major": "9",
    "gpu.compute.minor": "0",
    "gpu.mode": "compute",
    "mig.capable": "true",
}
T4 = {
    "gpu.product": "Tesla-T4",
    "gpu.memory": "15360",
    "gpu.family": "turing",
    "gpu.compute.major": "7",
    "gpu.compute.minor": "5",
    "gpu.mode": "compute",
    "mig.capable": "false",
}


def prefixed(found: dict[str, str]) -> dict[str, str]:
    return {f"nvidia.com/{key}": value for key, value in found.items()}


def without(found: dict[str, str], *keys: str) -> dict[str, str]:
    return {key: value for key, value in found.items() if key not in keys}


CASES: list[tuple[str, Snapshot, dict[str, str]]] = [
    ("8 x H100", snapshot(*(gpu(n) for n in range(8))), COMMON | DRIVER | H100 | {"gpu.count": "8"}),
    ("one T4", snapshot(t4()), COMMON | DRIVER | T4 | {"gpu.count": "1"}),
    (
        "no GPU: only the timestamp and that no vGPU is there",
        snapshot(),
        {"gfd.timestamp": "1700000000", "vgpu.present": "false"},
    ),
    (
        "a GPU in MIG mode counts as one GPU under strategy none",
        snapshot(gpu(0, mig=True)),
        COMMON | DRIVER | H100 | {"gpu.count": "1"},
    ),
    (
        "two T4 and an H100: the labels are those of the T4s, and count them",
        snapshot(gpu(0), t4(1), t4(2)),
        COMMON | DRIVER | T4 | {"gpu.count": "2", "mig.capable": "true"},
    ),
    (
        "one of each: those of the lower index",
        snapshot(t4(0), gpu(1)),
        COMMON | DRIVER | T4 | {"gpu.count": "1", "mig.capable": "true"},
    ),
    (
        "what could not be read gives no label",
        snapshot(
            gpu(0, memory_mib=Unknown("x"), compute=Unknown("x"), mig=Unknown("x"), vgpu=Unknown("x")),
            driver=Unknown("x"),
            cuda=Unknown("x"),
        ),
        without(COMMON, "vgpu.present")
        | without(H100, "gpu.memory", "gpu.family", "gpu.compute.major", "gpu.compute.minor", "mig.capable")
        | {"gpu.count": "1"},
    ),
    (
        "a driver version of two numbers has no revision but an empty label value, as with gpu-feature-discovery",
        snapshot(t4(), driver="535.54"),
        COMMON
        | DRIVER
        | T4
        | {"gpu.count": "1", "cuda.driver-version.minor": "54", "cuda.driver.minor": "54"}
        | {"cuda.driver-version.major": "535", "cuda.driver.major": "535"}
        | {"cuda.driver-version.revision": "", "cuda.driver.rev": "", "cuda.driver-version.full": "535.54"},
    ),
    (
        "a driver version that is none is left out",
        snapshot(t4(), driver="580.65.06-beta"),
        COMMON | {key: value for key, value in DRIVER.items() if "driver" not in key} | T4 | {"gpu.count": "1"},
    ),
    (
        "a vGPU in a virtual machine, a graphics card by its class, and a fabric",
        snapshot(t4(vgpu=True, pci_class="030000", clique="11112222-3333-4444-5555-666677778888.1")),
        COMMON
        | DRIVER
        | T4
        | {"gpu.count": "1", "vgpu.present": "true", "gpu.mode": "graphics"}
        | {"gpu.clique": "11112222-3333-4444-5555-666677778888.1"},
    ),
    (
        "the console GPU of a DGX Station is not counted",
        snapshot(gpu(0, name="NVIDIA DGX Display"), gpu(1)),
        COMMON | DRIVER | H100 | {"gpu.count": "1"},
    ),
]


@pytest.mark.parametrize(("sentence", "told", "expected"), CASES, ids=[case[0] for case in CASES])
def test_labels(sentence: str, told: Snapshot, expected: dict[str, str]) -> None:
    found = labels(told, "DGXH100", 1700000000)
    assert found == prefixed(expected), sentence
    assert all(VALID_VALUE.fullmatch(value) and len(value) <= 63 for value in found.values())


def test_machine_and_timestamp() -> None:
    found = labels(snapshot(t4()), Unknown("no such file"), None)
    assert found["nvidia.com/gpu.machine"] == "unknown"
    assert "nvidia.com/gfd.timestamp" not in found


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("NVIDIA H100 80GB HBM3", "NVIDIA-H100-80GB-HBM3"),
        ('A "quoted" / name', "A-quoted-name"),
        ("  spaces  around  ", "spaces-around"),
        ("Standard PC (Q35 + ICH9, 2009)", "Standard-PC-Q35-ICH9-2009"),
        ("x" * 80, "x" * 63),
        ("-_.", ""),
        ("y" * 62 + "-z", "y" * 62),
        ("Tésla\n4", "Tsla4"),
    ],
)
def test_sanitised(name: str, expected: str) -> None:
    assert sanitised(name) == expected


@pytest.mark.parametrize(
    ("capability", "expected"),
    [
        ((2, 0), "fermi"),
        ((3, 7), "kepler"),
        ((5, 2), "maxwell"),
        ((6, 1), "pascal"),
        ((7, 0), "volta"),
        ((7, 2), "volta"),
        ((7, 5), "turing"),
        ((8, 0), "ampere"),
        ((8, 7), "ampere"),
        ((8, 9), "ada-lovelace"),
        ((9, 0), "hopper"),
        ((10, 3), "blackwell"),
        ((12, 1), "blackwell"),
        ((13, 0), "rubin"),
        ((4, 0), "undefined"),
        ((99, 0), "undefined"),
    ],
)
def test_family(capability: tuple[int, int], expected: str) -> None:
    assert family(*capability) == expected


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [([gpu(0), gpu(1)], ()), ([t4(0), gpu(1)], ("Tesla T4", "NVIDIA H100 80GB HBM3")), ([], ())],
)
def test_mixed_models(gpus: list[Any], expected: tuple[str, ...]) -> None:
    assert mixed_models(gpus) == expected
