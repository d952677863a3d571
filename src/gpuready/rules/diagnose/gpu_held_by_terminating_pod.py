"""A pod that is being deleted keeps its GPUs until it is gone, while others wait."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import complete, members
from gpuready.rules.diagnose._objects import ENDED, asks
from gpuready.rules.diagnose._waiting import waiting


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    pods = members(cluster.pods)
    waiting_beside = waiting(pods)
    for pod in pods:
        others = waiting_beside(pod)
        if not (pod.terminating and pod.node and others and asks(pod)) or pod.phase in ENDED:
            continue
        kept = f"finalizers of pod/{pod.key}: {', '.join(pod.finalizers)}"
        yield Finding(
            at=f"pod/{pod.key}",
            says=f"it is being deleted and still holds {sum(asks(pod).values())} GPU",
            evidence=(
                *(f"container {c.name} of pod/{pod.key}: {c.state}" for c in pod.containers if c.state),
                *((kept,) if pod.finalizers else ()),
                *(f"pod/{other.key} waits: {other.reason or other.phase}" for other in others[:3]),
            ),
            next=f"see why it does not end: whether node/{pod.node} answers, its finalizers, its preStop hooks",
            nodes=(pod.node,),
            pods=(pod.key, *(other.key for other in others)),
        )
    complete(cluster.pods)


RULE = Rule(
    "gpu-held-by-terminating-pod",
    "diagnose",
    "fail",
    "A pod that is being deleted keeps the GPU",
    find,
    link="allocatable",
)
