"""No node, there or to come, has as many GPUs as the containers of the pod ask for together."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding
from gpuready.rules.diagnose._objects import with_objects
from gpuready.rules.diagnose._said import said_rule
from gpuready.rules.diagnose._stuck import stuck


def _seen(cluster: ClusterFacts) -> Iterator[Finding]:
    for one in stuck(cluster, "number"):
        most = max(one.nodes, key=lambda node: node.capacity[one.asked.resource])
        yield one.finding(
            f"it asks for {one.asked}, and no node has more than {most.capacity[one.asked.resource]}",
            (f"capacity of node/{most.name}: {most.capacity[one.asked.resource]} {one.asked.resource}",),
            f"ask for no more than {most.capacity[one.asked.resource]} in one pod, or add a node that has {one.asked}",
        )


RULE = with_objects(
    said_rule(
        "pod-gpu-request-exceeds-node",
        "scheduling",
        "no node, there or to come, has as many GPUs as the pod asks for",
        signs=(
            "didn't trigger scale-up & insufficient {gpu resource}",
            "scale-up predicate failed & insufficient {gpu resource}",
            "predicate checking error insufficient {gpu resource}",
            "no instance type satisfied resources & {gpu resource}",
            "no instance type has enough resources & {gpu resource}",
            "no instance type met & {gpu resource}",
            "didn't have enough resource & {gpu resource} & used 0 & !capacity 0",
        ),
        because=("limit-range-adds-gpus",),
        next="add up limits[nvidia.com/gpu] over the pod's containers and compare with the nodes' capacity; where a"
        " node group is empty, tell the autoscaler its GPUs (AWS: tag"
        " k8s.io/cluster-autoscaler/node-template/resources/nvidia.com/gpu)",
    ),
    _seen,
)
