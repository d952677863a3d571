"""The NVIDIA driver is loaded and has not taken a GPU: that one cannot be handed out, the others can."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.preflight._bound import bound
from gpuready.rules.preflight._scope import Looks, look_at


def find(looks: Looks, chosen: tuple[str, ...]) -> Iterator[Finding]:
    yield from each(chosen, partial(_find, looks))


def _find(looks: Looks, node: str) -> Iterator[Finding]:
    if known(look_at(looks, node).kernel_driver_version) is None:
        return  # no driver at all: another rule says so
    yield from bound(
        looks,
        (node,),
        lambda driver: driver is None,
        by="driven by nothing",
        why="the NVIDIA driver is loaded and has not taken them",
        next="read the kernel log of the node (dmesg | grep NVRM): model not supported by this driver, or a fault",
    )


RULE = Rule("gpu-not-driven", "preflight", "warn", "The driver has not taken a GPU", find)
