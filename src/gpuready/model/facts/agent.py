"""What a node agent answers at /gpus: its GPUs, their health, and who holds them."""

from __future__ import annotations

import msgspec

from gpuready.model.unknown import Unknown


class Holder(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A container that the kubelet gave the device to (PodResources)."""

    namespace: str
    pod: str
    container: str


class Gpu(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    index: int
    uuid: str
    minor: int | None
    model: str
    memory_mib: int | Unknown
    pci: str
    numa_node: int | None
    health: str  # ok | failed | unknown
    reason: str = ""  # empty when ok; "Xid 79 at 2026-11-23T09:14:00Z: GPU has fallen off the bus"
    held_by: tuple[Holder, ...] | Unknown = ()


class AgentReport(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    node: str
    as_of: str  # RFC 3339, UTC
    version: str  # of gpuready
    driver: str | Unknown
    cuda: str | Unknown  # highest CUDA version the driver speaks, "13.0"
    injection: str  # cdi | devices
    registered: bool  # with the kubelet
    gpus: tuple[Gpu, ...] | Unknown
    replayed: bool = False
    simulated: bool | msgspec.UnsetType = msgspec.UNSET  # then replayed is true as well (gpuready demo)
