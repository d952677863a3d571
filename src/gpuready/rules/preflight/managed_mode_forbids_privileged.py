"""Some managed node modes admit no privileged pod, and without one no container may open /dev/nvidia*."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.knowledge.nodes import managed_mode
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.rules.preflight._scope import chosen_nodes


def find(cluster: ClusterFacts, chosen: tuple[str, ...]) -> Iterator[Finding]:
    for node in chosen_nodes(cluster, chosen):
        mode = managed_mode(node.name, node.labels)
        if mode:
            yield Finding(
                at=f"node/{node.name}",
                says=f"{mode[0]} admits no privileged pod, and the agent must be one",
                evidence=(mode[1],),
                next="put the GPUs into a node pool that you manage yourself",
                nodes=(node.name,),
            )


RULE = Rule("managed-mode-forbids-privileged", "preflight", "refuse", "A node mode forbids privileged pods", find)
