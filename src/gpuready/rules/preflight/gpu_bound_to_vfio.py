"""A GPU bound to vfio belongs to virtual machines; the NVIDIA driver cannot see it."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.rule import Finding, Rule
from gpuready.rules.preflight._bound import bound
from gpuready.rules.preflight._scope import Looks


def find(looks: Looks, chosen: tuple[str, ...]) -> Iterator[Finding]:
    yield from bound(
        looks,
        chosen,
        _passes_through,
        by="bound to vfio",
        why="they are set aside for virtual machines",
        next="give them back to the nvidia driver (remove vfio-pci.ids and driverctl overrides, reboot)",
    )


def _passes_through(driver: str | None) -> bool:
    """vfio-pci and its variants for single devices (nvgrace_gpu_vfio_pci), and the older pci-stub."""
    return driver is not None and ("vfio" in driver or driver == "pci-stub")


RULE = Rule("gpu-bound-to-vfio", "preflight", "refuse", "GPUs are set aside for virtual machines", find)
