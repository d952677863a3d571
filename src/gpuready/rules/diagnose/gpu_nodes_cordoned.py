"""The nodes that would do for a pod are cordoned, all of them."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.rules.diagnose._said import SHOWN
from gpuready.rules.diagnose._stuck import stuck


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    for one in stuck(cluster, "cordon"):
        yield one.finding(
            f"the nodes on which it could run are cordoned: {one.where()}",
            tuple(f"node/{node.name} spec.unschedulable true" for node in one.nodes[:SHOWN]),
            f"kubectl uncordon {one.nodes[0].name}, if whoever cordoned it agrees",
        )


RULE = Rule(
    "gpu-nodes-cordoned",
    "diagnose",
    "fail",
    "The GPU nodes are cordoned",
    find,
    link="scheduling",
)
