"""The kernel's own driver holds the GPU, so that NVIDIA's cannot."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.rule import Finding, Rule
from gpuready.rules.preflight._bound import bound
from gpuready.rules.preflight._scope import Looks


def find(looks: Looks, chosen: tuple[str, ...]) -> Iterator[Finding]:
    yield from bound(
        looks,
        chosen,
        _in_tree,
        by="held by the kernel's own driver",
        why="the NVIDIA driver cannot take them",
        next="blacklist nouveau and nova_core (modprobe.d, then rebuild the initramfs) and reboot the node",
    )


def _in_tree(driver: str | None) -> bool:
    """nouveau, and its successor, which sysfs shows as NovaCore or nova_core."""
    return driver is not None and driver.lower().startswith(("nouveau", "nova"))


RULE = Rule("gpu-bound-to-nouveau", "preflight", "refuse", "The kernel's own driver holds the GPUs", find)
