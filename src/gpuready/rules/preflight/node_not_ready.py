"""A node that is not Ready runs nothing new; waiting for it would hold up the others."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Node
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.preflight._scope import chosen_nodes


def find(cluster: ClusterFacts, chosen: tuple[str, ...]) -> Iterator[Finding]:
    yield from each(chosen_nodes(cluster, chosen), _find)


def _find(node: Node) -> Iterator[Finding]:
    if not known(node.ready):
        yield Finding(
            at=f"node/{node.name}",
            says="the node is not Ready",
            evidence=(node.ready_reason or "condition Ready is not True",),
            next=f"kubectl describe node {node.name} says what is wrong",
            nodes=(node.name,),
        )


RULE = Rule("node-not-ready", "preflight", "refuse", "A chosen node is not Ready", find)
