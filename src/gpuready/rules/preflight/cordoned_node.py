"""The agent runs on a cordoned node, the probe does not: its GPUs stay unproved until the cordon is lifted."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.rules.preflight._scope import chosen_nodes


def find(cluster: ClusterFacts, chosen: tuple[str, ...]) -> Iterator[Finding]:
    for node in chosen_nodes(cluster, chosen):
        if node.unschedulable:
            yield Finding(
                at=f"node/{node.name}",
                says="the node is cordoned: its GPUs cannot be proved and no GPU pod starts there",
                evidence=("spec.unschedulable true",),
                next=f"kubectl uncordon {node.name}, if whoever cordoned it agrees",
                nodes=(node.name,),
            )


RULE = Rule("cordoned-node", "preflight", "warn", "A chosen node is cordoned", find)
