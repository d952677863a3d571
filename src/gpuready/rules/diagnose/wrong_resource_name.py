"""The pod asks for a resource name that no node advertises, as the shared or MIG names, or a name without a domain."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding
from gpuready.rules.diagnose._objects import few, gpus, nearest, with_objects
from gpuready.rules.diagnose._said import said_rule
from gpuready.rules.diagnose._stuck import stuck


def _seen(cluster: ClusterFacts) -> Iterator[Finding]:
    """A kind of GPU that no node has, where nodes have others: where none has any, the name is not at fault."""
    for one in stuck(cluster, "offered"):
        offered = {name for node in one.nodes for name in gpus(node.capacity)}
        if offered:
            meant = nearest(one.asked.resource, offered) or min(offered)
            yield one.finding(
                f"it asks for {one.asked.resource}, which no node offers",
                (f"offered by nodes: {few(offered)}",),
                f"ask for {meant} in the limits of its containers, or have the nodes offer {one.asked.resource}",
            )


RULE = with_objects(
    said_rule(
        "wrong-resource-name",
        "scheduling",
        "the pod asks for a GPU by a name that no node offers",
        signs=(
            "insufficient {unusual gpu resource}",
            "insufficient {unusual gpu resource} & {failing}",
            "must be a standard resource type or fully qualified & *gpu*",
            "must be a standard resource for containers & *gpu*",
            "{gpu resource} & was requested but not registered",
            "resource * was requested but not registered",
        ),
        next="take the name from Allocatable in `kubectl describe node` (nvidia.com/gpu, nvidia.com/gpu.shared,"
        " nvidia.com/mig-*) and use it in the pod's limits",
    ),
    _seen,
)
