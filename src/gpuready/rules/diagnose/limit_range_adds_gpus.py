"""The default of a LimitRange gives a GPU to every container that names none, sidecars too.

A pod then asks for more GPUs than its manifest says: it waits for what it does not need, or keeps it from others.
LimitRanger writes what it added into an annotation of the pod.
https://kubernetes.io/docs/concepts/policy/limit-range/
"""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.rule import Finding
from gpuready.model.unknown import complete, members
from gpuready.rules.diagnose._objects import asks, with_objects
from gpuready.rules.diagnose._said import said_rule
from gpuready.rules.diagnose._stuck import GATED
from gpuready.rules.diagnose._waiting import waiting

ADDED = "kubernetes.io/limit-ranger of pod/{}: a GPU for container {}"


def _seen(cluster: ClusterFacts) -> Iterator[Finding]:
    """A pod that waits itself, or holds what others wait for."""
    pods = members(cluster.pods)
    waiting_beside = waiting(pods)
    for pod in pods:
        if not pod.gpus_by_limit_range or not asks(pod):
            continue
        waits = not pod.node and pod.phase == "Pending" and bool(pod.unscheduled)
        others = waiting_beside(pod) if pod.node and pod.phase == "Running" else []
        if (waits and not pod.unscheduled.startswith(GATED)) or others:
            yield _finding(pod, others)
    complete(cluster.pods)


def _finding(pod: Pod, others: list[Pod]) -> Finding:
    given = ", ".join(pod.gpus_by_limit_range)
    does = f"{', '.join(f'pod/{o.key}' for o in others[:3])} wait for one" if others else "it waits for them"
    return Finding(
        at=f"pod/{pod.key}",
        says=f"a LimitRange gave {given} a GPU that its manifest does not ask for, and {does}"[:130],
        evidence=(
            *(ADDED.format(pod.key, container) for container in pod.gpus_by_limit_range),
            *((f"condition PodScheduled of pod/{pod.key}: {pod.unscheduled}",) if pod.unscheduled else ()),
            *(f"pod/{other.key} waits: {other.reason or other.phase}" for other in others[:3]),
        ),
        next=f"take nvidia.com/gpu out of default and defaultRequest of the LimitRange (`kubectl get limitrange -n"
        f" {pod.namespace} -o yaml`), or write nvidia.com/gpu: 0 for these containers; then create the pod again",
        nodes=(pod.node,) if pod.node else (),
        pods=(pod.key, *(other.key for other in others)),
    )


RULE = with_objects(
    said_rule(
        "limit-range-adds-gpus",
        "scheduling",
        "a LimitRange gives GPUs to containers that do not ask for them",
        signs=("limitranger plugin set .. {gpu resource} & container",),
        next="take nvidia.com/gpu out of default and defaultRequest of the namespace's LimitRange (`kubectl get"
        " limitrange -o yaml`), or write nvidia.com/gpu: 0 for the containers that need none",
    ),
    _seen,
)
