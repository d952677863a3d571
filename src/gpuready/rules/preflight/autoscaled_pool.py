"""A pool makes its nodes from a template; a node that it adds has not the label by which the agent finds its nodes."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.knowledge.nodes import Pool, pool
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.names import AGENT_LABEL
from gpuready.model.rule import Finding, Rule
from gpuready.rules.preflight._scope import chosen_nodes, few


def find(cluster: ClusterFacts, chosen: tuple[str, ...]) -> Iterator[Finding]:
    pools: dict[Pool, list[str]] = {}
    for node in chosen_nodes(cluster, chosen):
        found = pool(node.labels, node.annotations)
        if found:
            pools.setdefault(found, []).append(node.name)
    for found, names in sorted(pools.items()):
        maker = f"{found.kind} {found.name}"
        yield Finding(
            at=f"pool {found.name}",
            says=f"{maker} makes nodes: a new one gets no agent unless its template has label {AGENT_LABEL}",
            evidence=(f"{found.sign}={found.name} on {few(names)}",),
            next="copy that label from these nodes into the template, or run gpuready up after the pool grew",
            nodes=tuple(names),
        )


RULE = Rule("autoscaled-pool", "preflight", "warn", "Nodes come from a template", find)
