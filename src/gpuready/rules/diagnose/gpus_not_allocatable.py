"""A node has GPUs that it does not give out: they are unhealthy, or the plugin that offered them is gone."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Node
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.diagnose._objects import gpus, labelled, served


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    """A plugin that was removed leaves a capacity behind, which the kubelet forgets after five minutes."""

    def of_node(node: Node) -> Iterator[Finding]:
        behind = _behind(node)
        if behind and (gpus(node.allocatable) or labelled(node) or served(cluster)):
            yield from behind

    yield from each(known(cluster.nodes), of_node)


def _behind(node: Node) -> list[Finding]:
    short = [(name, n, node.allocatable.get(name, 0)) for name, n in sorted(gpus(node.capacity).items())]
    return [
        Finding(
            at=f"node/{node.name}",
            says=f"{number - left} of its {number} {name} are not given out",
            evidence=(f"capacity {name}: {number}", f"allocatable {name}: {left}"),
            next="read the device plugin's log on that node, and the kernel's for Xid",
            nodes=(node.name,),
        )
        for name, number, left in short
        if left < number
    ]


RULE = Rule(
    "gpus-not-allocatable",
    "diagnose",
    "fail",
    "A node does not give out all of its GPUs",
    find,
    link="allocatable",
    symptom=True,
)
