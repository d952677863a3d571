"""What NVML and sysfs say about the GPUs of this node. Frozen data; a field that could not be read is Unknown."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gpuready.model.unknown import Unknown

Number = int | float


class Gpu(msgspec.Struct, frozen=True, kw_only=True):
    """What stays the same as long as the driver is loaded."""

    index: int
    uuid: str
    minor: int | Unknown  # N of /dev/nvidiaN
    name: str | Unknown  # "NVIDIA H100 80GB HBM3"
    memory_mib: int | Unknown
    pci: str | Unknown  # as NVML writes it, "00000000:1A:00.0"
    compute: tuple[int, int] | Unknown  # compute capability
    mig: bool | Unknown | None  # MIG mode; None where the GPU has none
    vgpu: bool | Unknown  # a vGPU inside a virtual machine
    clique: str | Unknown | None  # "<cluster UUID>.<clique id>"; None where the GPU is on no fabric
    numa: int | None  # None when the kernel says -1 or nothing
    pci_class: str | Unknown  # "030200"


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU that the driver counts but that could not be described."""

    index: int
    why: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    driver: str | Unknown  # "580.65.06"
    cuda: str | Unknown  # highest CUDA version that the driver speaks, "13.0"
    gpus: tuple[Gpu, ...]
    refused: tuple[Refused, ...] = ()


class Vitals(msgspec.Struct, frozen=True, kw_only=True):
    """One look at one GPU's health. `error` is set when the GPU does not answer at all; the rest is then Unknown."""

    error: str = ""
    recovery: int | Unknown = Unknown("not asked")  # nvmlDeviceGpuRecoveryAction_t; 0 is "none"
    remap_failed: bool | Unknown = Unknown("not asked")
    energy_mj: int | Unknown = Unknown("not asked")  # since the driver was loaded: less than before is a new load


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """Metric values of one GPU, by dcgm-exporter's name; what the GPU does not support is absent."""

    uuid: str
    values: Mapping[str, Number]


class GpuEvent(msgspec.Struct, frozen=True, kw_only=True):
    uuid: str  # empty when the driver did not say which GPU
    xid: int  # 0: another event than an Xid


Links = Mapping[frozenset[str], int]  # a pair of UUIDs -> score, higher is closer


def busid_for_sysfs(pci: str) -> str:
    """NVML writes the PCI domain with eight digits, sysfs with four: "00000000:1A:00.0" -> "0000:1a:00.0"."""
    domain, _, rest = pci.lower().partition(":")
    return f"{domain[-4:]}:{rest}"
