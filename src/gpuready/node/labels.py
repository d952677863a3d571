"""Node labels with the names and formats of NVIDIA's gpu-feature-discovery, MIG strategy none, nothing shared.

What could not be read gives no label: a wrong one would be believed.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from gpuready.model.unknown import Unknown
from gpuready.node.devices import refusal
from gpuready.node.gpus import Gpu, Snapshot

PREFIX = "nvidia.com/"
LONGEST_VALUE = 63
VALID_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")
DRIVER_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?")
FAMILIES = {  # by major compute capability; 7 and 8 depend on the minor one
    1: "tesla",
    2: "fermi",
    3: "kepler",
    5: "maxwell",
    6: "pascal",
    9: "hopper",
    10: "blackwell",
    12: "blackwell",
    13: "rubin",
}
MODES = {"0302": "compute", "0300": "graphics"}


def labels(snapshot: Snapshot, machine: str | Unknown, timestamp: int | None) -> dict[str, str]:
    """All labels of this node. `machine` is the DMI product name; `timestamp` the agent's start, None for none."""
    found: dict[str, str] = {} if timestamp is None else {"gfd.timestamp": str(timestamp)}
    gpus = [gpu for gpu in snapshot.gpus if not refusal(gpu)]
    if not any(gpu.vgpu is True or isinstance(gpu.vgpu, Unknown) for gpu in gpus):
        found["vgpu.present"] = "false"
    elif any(gpu.vgpu is True for gpu in gpus):
        found["vgpu.present"] = "true"
    if gpus:
        found |= driver_labels(snapshot.driver) | runtime_labels(snapshot.cuda) | gpu_labels(gpus)
        found["gpu.machine"] = "unknown" if isinstance(machine, Unknown) else sanitised(machine)
    return {PREFIX + key: value for key, value in found.items() if valid(value)}


def driver_labels(driver: str | Unknown) -> dict[str, str]:
    match = None if isinstance(driver, Unknown) else DRIVER_VERSION.fullmatch(driver)
    if match is None:
        return {}
    major, minor, revision = match[1], match[2], match[3] or ""
    return {
        "cuda.driver-version.major": major,
        "cuda.driver-version.minor": minor,
        "cuda.driver-version.revision": revision,
        "cuda.driver-version.full": match[0],
        "cuda.driver.major": major,
        "cuda.driver.minor": minor,
        "cuda.driver.rev": revision,
    }


def runtime_labels(cuda: str | Unknown) -> dict[str, str]:
    if isinstance(cuda, Unknown):
        return {}
    major, _, minor = cuda.partition(".")
    return {
        "cuda.runtime-version.major": major,
        "cuda.runtime-version.minor": minor,
        "cuda.runtime-version.full": cuda,
        "cuda.runtime.major": major,
        "cuda.runtime.minor": minor,
    }


def gpu_labels(gpus: Sequence[Gpu]) -> dict[str, str]:
    """Of the commonest model (among equals the one with the lowest index): on a mixed node they never flip."""
    models = Counter(gpu.name for gpu in gpus if isinstance(gpu.name, str))
    found = {
        "gpu.replicas": "1",
        "gpu.sharing-strategy": "none",
        "mps.capable": "false",
    }
    if not any(isinstance(gpu.mig, Unknown) for gpu in gpus):
        found["mig.capable"] = "true" if any(gpu.mig is not None for gpu in gpus) else "false"
    if not models:
        return found | {"gpu.count": str(len(gpus))}
    model, count = models.most_common(1)[0]
    first = next(gpu for gpu in gpus if gpu.name == model)
    found |= {"gpu.product": sanitised(model), "gpu.count": str(count), "gpu.mode": mode(first.pci_class)}
    if isinstance(first.memory_mib, int):
        found["gpu.memory"] = str(first.memory_mib)
    if isinstance(first.compute, tuple):
        major, minor = first.compute
        found |= {"gpu.family": family(major, minor), "gpu.compute.major": str(major), "gpu.compute.minor": str(minor)}
    if isinstance(first.clique, str):
        found["gpu.clique"] = first.clique
    return found


def mixed_models(gpus: Sequence[Gpu]) -> tuple[str, ...]:
    """The models of a node that has more than one: labels can only describe one of them."""
    models = tuple(dict.fromkeys(gpu.name for gpu in gpus if isinstance(gpu.name, str)))
    return models if len(models) > 1 else ()


def family(major: int, minor: int) -> str:
    if major == 7:
        return "turing" if minor >= 5 else "volta"
    if major == 8:
        return "ada-lovelace" if minor == 9 else "ampere" if minor < 9 else "undefined"
    return FAMILIES.get(major, "undefined")


def mode(pci_class: str | Unknown) -> str:
    return "unknown" if isinstance(pci_class, Unknown) else MODES.get(pci_class[:4], "unknown")


def sanitised(name: str) -> str:
    """As gpu-feature-discovery does it, and cut to what a label may hold."""
    kept = re.sub(r"[^A-Za-z0-9\-_. ]", "", name).strip()
    return re.sub(r"\s+", "-", kept)[:LONGEST_VALUE].strip("-_.")


def valid(value: str) -> bool:
    return len(value) <= LONGEST_VALUE and VALID_VALUE.fullmatch(value) is not None
