"""Something asks for GPUs or says that nodes have them, and nothing is there that would offer them."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import Hosts, on_bus
from gpuready.rules.diagnose._objects import chosen, gpus, pointers, serving_pods


def find(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    """Only of a cluster in which no node offers one: a service of the host may do it without any pod."""
    if any(gpus(node.allocatable) for node in known(cluster.nodes)):
        return
    stack = [*known(cluster.stacks), *known(cluster.dra)]
    if stack or any(chosen(ds) for ds in known(cluster.daemonsets)) or any(serving_pods(cluster)):
        return
    if signs := pointers(cluster) or on_bus(cluster, hosts):
        yield Finding(
            at="cluster",
            says="nothing is installed that offers GPUs: no device plugin, no GPU Operator, no DRA driver",
            evidence=signs[:5],
            next="gpuready up, which looks at the nodes first and shows what it would do",
        )


RULE = Rule(
    "no-gpu-stack-installed",
    "diagnose",
    "fail",
    "Nothing is installed that offers GPUs",
    find,
    link="install",
)
