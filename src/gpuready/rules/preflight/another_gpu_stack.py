"""NVIDIA's operator is told by an object to own the cluster's GPUs; a second owner would fight it on every node."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    for obj in known(cluster.stacks):
        at = f"{obj.kind.lower()}/{obj.name}"
        yield Finding(
            at=at,
            says=f"the NVIDIA GPU Operator owns the GPUs of this cluster by {obj.kind} {obj.name}",
            evidence=(f"{at} exists{f', {obj.detail}' if obj.detail else ''}",),
            next="use that stack and prove it: gpuready verify; or remove it first, then gpuready up",
        )


RULE = Rule("another-gpu-stack", "preflight", "refuse", "Another GPU stack owns the GPUs", find)
