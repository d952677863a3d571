"""A node with GPUs is not ready: nothing starts there, and what ran there is being moved away."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Node
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.diagnose._objects import meant_for_gpus


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    yield from each(known(cluster.nodes), _find)


def _find(node: Node) -> Iterator[Finding]:
    signs = meant_for_gpus(node)
    if signs and not known(node.ready):
        yield Finding(
            at=f"node/{node.name}",
            says="the node has GPUs and is not ready",
            evidence=(f"Ready of node/{node.name}: {node.ready_reason or 'not True'}", signs[-1]),
            next=f"kubectl describe node {node.name}, then look at the kubelet and the container runtime on it",
            nodes=(node.name,),
        )


RULE = Rule(
    "gpu-node-not-ready",
    "diagnose",
    "fail",
    "A node with GPUs is not ready",
    find,
    link="node",
)
