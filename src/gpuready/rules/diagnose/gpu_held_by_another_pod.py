"""The GPUs of the node are all allocated, so the kubelet refuses a pod that was bound there."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.rule import Finding
from gpuready.model.unknown import members
from gpuready.rules.diagnose._objects import ENDED, asks
from gpuready.rules.diagnose._refused import without_past
from gpuready.rules.diagnose._said import SHOWN, said_rule
from gpuready.rules.diagnose._stuck import stuck

NO_VICTIM = "No preemption victims found"  # the scheduler's words


def _seen(cluster: ClusterFacts) -> Iterator[Finding]:
    """Nothing is broken: it waits its turn. GPUs that nobody holds and that are not given out are another matter."""
    for one in stuck(cluster, "held"):
        here = {node.name for node in one.nodes}
        held = [(pod, n) for pod in members(cluster.pods) if (n := _holds(pod, one.asked.resource, here))]
        if not held:
            continue
        total = sum(node.capacity[one.asked.resource] for node in one.nodes)
        more = (f"and {len(held) - SHOWN} more pods",) if len(held) > SHOWN else ()
        none = (
            ("the scheduler found none of lower priority among them",) if NO_VICTIM in one.pods[0].unscheduled else ()
        )
        yield one.finding(
            f"{sum(n for _, n in held)} of {total} {one.asked.resource} of {one.where()} are held by other pods",
            (*(f"pod/{pod.key} holds {n} on node/{pod.node}" for pod, n in held[:SHOWN]), *more, *none),
            "wait, end one of these pods if its work is done, or add a GPU node",
        )


def _holds(pod: Pod, resource: str, nodes: set[str]) -> int:
    return asks(pod).get(resource, 0) if pod.node in nodes and pod.phase not in ENDED else 0


RULE = without_past(
    said_rule(
        "gpu-held-by-another-pod",
        "scheduling",
        "the node's GPUs are allocated to other pods",
        signs=(
            "requested number of devices unavailable for {gpu resource}",
            "requested number of devices unavailable & !unhealthy",
            "node didn't have enough resource {gpu resource} & !used 0",
            "didn't have enough resource & {gpu resource} & !used 0 & !capacity 0",
        ),
        next="list the pods of that node with a limit nvidia.com/gpu (`kubectl describe node`, Allocated resources),"
        " then end one that is no longer needed",
        because=(
            "gpu-held-by-running-sidecar",
            "gpu-held-by-terminating-pod",
            "gpu-pod-preempted",
            "limit-range-adds-gpus",
            "preemption-switched-off",
        ),
    ),
    _seen,
)
