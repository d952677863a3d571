"""GPU models by PCI device id."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gpuready.knowledge._files import load


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    architecture: str
    sources: tuple[str, ...]
    open_only: bool = False  # the proprietary kernel modules do not drive it


class Models(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    as_of: str
    sources: Mapping[str, str]
    gpus: Mapping[str, Model]


DATA = load("gpus.yaml", Models)


def model(device_id: str) -> Model | None:
    """`device_id` as sysfs has it without 0x: four hex digits; None when the id is not known."""
    return DATA.gpus.get(device_id.lower())


def name(device_id: str) -> str:
    """H100 SXM5 80GB, or 10de:2330 when the id is not known."""
    known = model(device_id)
    return known.name if known else f"10de:{device_id.lower()}"
