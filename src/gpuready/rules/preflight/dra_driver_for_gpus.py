"""NVIDIA's DRA driver hands out the same GPUs by claims; it and a device plugin do not see each other's allocations.

Source: the driver's chart refuses GPUs beside a device plugin (resources.gpus.enabled needs an override).
"""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.preflight._scope import few


def find(cluster: ClusterFacts, chosen: tuple[str, ...]) -> Iterator[Finding]:
    objects = known(cluster.dra)
    slices = [o for o in objects if o.kind == "ResourceSlice"]
    names = frozenset(chosen)
    here = [o for o in slices if o.node in names or not o.node]
    if here:
        nodes = tuple(sorted({o.node for o in here if o.node}))
        yield Finding(
            at="resourceslices",
            says=f"the DRA driver gpu.nvidia.com offers the GPUs of {few(nodes) or 'all nodes'} by claims",
            evidence=tuple(f"resourceslice/{o.name}, {o.detail}" for o in here[:5]),
            next="remove the driver first, then gpuready up",
            nodes=nodes,
        )
    elif not slices:
        yield from _classes_alone([o.name for o in objects if o.kind == "DeviceClass"])


def _classes_alone(classes: list[str]) -> Iterator[Finding]:
    """Slices on other nodes only: the driver is kept to those. No slice at all: it may be about to start anywhere."""
    if classes:
        yield Finding(
            at=f"deviceclass/{classes[0]}",
            says="the DRA driver gpu.nvidia.com is installed, or was: its device classes are there and no slice is",
            evidence=tuple(f"deviceclass/{name}" for name in classes),
            next=f"kubectl delete deviceclass {' '.join(classes)}, if the driver is gone; else remove it first",
        )


RULE = Rule("dra-driver-for-gpus", "preflight", "refuse", "A DRA driver hands out the GPUs", find)
