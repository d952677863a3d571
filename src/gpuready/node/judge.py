"""What one scan of the node makes of everything that is known: pure, from the view before and what was read now."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gpuready.model.unknown import Unknown
from gpuready.node.devices import refusals
from gpuready.node.gpus import Gpu, Snapshot, Vitals
from gpuready.node.health import Fault, Health, after_look
from gpuready.node.injection import Injection, blocked

NOT_READ = Unknown("NVML was not asked yet")
GONE = Vitals(error="the driver no longer lists it")


class View(msgspec.Struct, frozen=True, kw_only=True):
    driver: str | Unknown = NOT_READ
    cuda: str | Unknown = NOT_READ
    snapshot: Snapshot | None = None  # the last that could be taken
    gpus: tuple[Gpu, ...] = ()  # with a UUID, by index; also those that were there once and are lost now
    refused: Mapping[int, str] = {}  # index -> why it is not advertised
    health: Mapping[str, Health] = {}
    vitals: Mapping[str, Vitals] = {}
    injection: Injection = Injection(control=(), devices={}, mounts=())
    blind: str = "NVML was not asked yet"
    replayed: bool = False

    def undescribed(self) -> dict[int, str]:
        """Of the refused, those that have no UUID and so no entry in `gpus`."""
        known = {gpu.index for gpu in self.gpus}
        return {index: why for index, why in self.refused.items() if index not in known}


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """What was read."""

    snapshot: Snapshot
    vitals: Mapping[str, Vitals]
    injection: Injection
    unheard: Mapping[str, str]  # UUID -> why its events are not heard; "" as UUID: of all GPUs
    replayed: bool


def judged(before: View, scan: Scan, faults: Mapping[str, Fault], now: float) -> View:
    """`faults` are those that an earlier agent of this node left; they count for GPUs seen for the first time."""
    gpus = {gpu.uuid: gpu for gpu in (*before.gpus, *scan.snapshot.gpus)}
    described = {gpu.uuid for gpu in scan.snapshot.gpus}
    vanished = {
        gpu.index for gpu in before.gpus if gpu.uuid not in described
    }  # they have a UUID and a health of theirs
    health: dict[str, Health] = {}
    for uuid, gpu in gpus.items():
        known = before.health.get(uuid, Health(fault=faults.get(uuid)))
        looked = after_look(known, scan.vitals.get(uuid, GONE), now)
        health[uuid] = msgspec.structs.replace(
            looked,
            blocked=blocked(gpu, scan.injection),
            blind=scan.unheard.get("") or scan.unheard.get(uuid, ""),
        )
    return View(
        driver=scan.snapshot.driver,
        cuda=scan.snapshot.cuda,
        snapshot=scan.snapshot,
        gpus=tuple(sorted(gpus.values(), key=lambda gpu: gpu.index)),
        refused={index: why for index, why in refusals(scan.snapshot).items() if index not in vanished},
        health=health,
        vitals=scan.vitals,
        injection=scan.injection,
        blind="",
        replayed=scan.replayed,
    )


def blinded(before: View, why: str) -> View:
    """NVML does not answer: what was known stays, but nobody knows how the GPUs are."""
    health = {uuid: msgspec.structs.replace(entry, blind=why) for uuid, entry in before.health.items()}
    return msgspec.structs.replace(before, health=health, blind=why)
