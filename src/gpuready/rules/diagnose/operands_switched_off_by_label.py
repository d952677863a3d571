"""A label keeps parts of the GPU Operator away from a node that is missed."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Node
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.diagnose._objects import asks, gpus, meant_for_gpus

PARTS = ("operands", "driver", "container-toolkit", "device-plugin")


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    """To leave a node out is anybody's right: it is a fault where no node is left, or a pod finds none."""
    nodes = known(cluster.nodes)
    left_out = [node for node in nodes if _off(node) and meant_for_gpus(node) and not gpus(node.capacity)]
    if not left_out:
        return
    if any(gpus(node.capacity) for node in nodes) and not any(p.unscheduled and asks(p) for p in known(cluster.pods)):
        return
    for node in left_out:
        keys = _off(node)
        yield Finding(
            at=f"node/{node.name}",
            says=f"a label keeps the GPU Operator's parts away from it: {keys[0]}=false",
            evidence=(*(f"label {key}=false of node/{node.name}" for key in keys), f"node/{node.name} offers no GPU"),
            next=f"kubectl label node {node.name} {' '.join(f'{key}-' for key in keys)}, if the node is to offer GPUs",
            nodes=(node.name,),
        )


def _off(node: Node) -> tuple[str, ...]:
    keys = (f"nvidia.com/gpu.deploy.{part}" for part in PARTS)
    return tuple(key for key in keys if node.labels.get(key) == "false")


RULE = Rule(
    "operands-switched-off-by-label",
    "diagnose",
    "fail",
    "A label switches the GPU stack off on a node",
    find,
    link="discovery",
)
