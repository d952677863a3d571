"""A label set by hand says that a node has GPUs, and it has none: the stack is sent where it cannot work."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Node
from gpuready.model.fleet import each
from gpuready.model.names import AGENT_MANAGER, MANAGER
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, Unknown, known
from gpuready.rules.diagnose._objects import DISCOVERED, gpus, meant_for_gpus

DISCOVERY = (MANAGER, AGENT_MANAGER, "nfd-master", "nfd-worker", "gpu-operator", "gpu-feature-discovery")


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    """NFD not seeing the device proves it. That other nodes offer GPUs and this one does not makes it likely; where
    none does, whoever set the label may well be right."""
    nodes = known(cluster.nodes)
    seen = {feature.node: feature.nvidia for feature in known(cluster.features)}
    others = any(gpus(node.capacity) for node in nodes)

    def of_node(node: Node) -> Iterator[Finding]:
        refuted = seen.get(node.name) is False
        if not gpus(node.capacity) and meant_for_gpus(node) and (refuted or others):
            yield from _find(node, refuted)

    yield from each(nodes, of_node)


def _find(node: Node, refuted: bool) -> Iterator[Finding]:
    labels = sorted(key for key in node.labels if key.startswith(DISCOVERED) and not key.startswith(STEERING))
    by_hand = [key for key in labels if _by_hand(node.label_managers.get(key, ""))]
    if by_hand:
        yield Finding(
            at=f"node/{node.name}",
            says=f"a label set by hand says that the node has GPUs, and it has none: {by_hand[0]}",
            evidence=(
                *(f"label {key}={node.labels[key]} set by {node.label_managers[key]}" for key in by_hand),
                f"node/{node.name} offers no GPU",
                *(("its NodeFeature names no PCI device of vendor 10de",) if refuted else ()),
            ),
            next=f"kubectl label node {node.name} {' '.join(f'{key}-' for key in by_hand)}",
            nodes=(node.name,),
            weight=0.0 if refuted else 1.0,
        )
    if unknown := [key for key in labels if key not in node.label_managers]:
        raise TouchedUnknown(Unknown(f"who set label {unknown[0]} of node/{node.name}: its managedFields do not say"))


STEERING = ("nvidia.com/gpu.deploy.", "nvidia.com/gpu.workload.", "nvidia.com/mig.config")


def _by_hand(owners: str) -> bool:
    return bool(owners) and not any(owner in DISCOVERY for owner in owners.split(","))


RULE = Rule(
    "contradicting-gpu-label",
    "diagnose",
    "fail",
    "A GPU label contradicts the node",
    find,
    link="discovery",
)
