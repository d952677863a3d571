"""A pod whose GPU container has ended keeps its GPUs for as long as another container of it runs, while others wait."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, ContainerUse, Pod
from gpuready.model.names import RESOURCE
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import complete, members
from gpuready.rules.diagnose._waiting import waiting


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    pods = members(cluster.pods)
    waiting_beside = waiting(pods)
    for pod in pods:
        done = ended(pod)
        running = [c.name for c in pod.containers if done and c.state == "running" and not c.init]
        others = waiting_beside(pod)
        if not (running and others):
            continue
        held = sum(c.requests.get(RESOURCE, 0) for c in pod.containers)
        yield Finding(
            at=f"pod/{pod.key}",
            says=f"its GPU container has ended, but {', '.join(running)} runs on, so it still holds {held} GPU",
            evidence=(
                *(f"container {c.name} of pod/{pod.key}: {c.state}" for c in done),
                *(f"container {name} of pod/{pod.key}: running" for name in running),
                *(f"pod/{other.key} waits: {other.reason or other.phase}" for other in others[:3]),
            ),
            next=f"end that pod, if its work is done: kubectl delete pod -n {pod.namespace} {pod.name}",
            nodes=(pod.node,),
            pods=(pod.key, *(other.key for other in others)),
        )
    complete(cluster.pods)


def ended(pod: Pod) -> list[ContainerUse]:
    """Its containers that asked for GPUs, when all of them are through and will not be started again."""
    if pod.phase != "Running" or pod.restart_policy == "Always":
        return []
    asking = [c for c in pod.containers if c.requests.get(RESOURCE) and not c.init]
    return asking if all(c.state.startswith("terminated") for c in asking) else []


RULE = Rule(
    "gpu-held-by-running-sidecar",
    "diagnose",
    "fail",
    "A pod whose work is done keeps the GPU because a sidecar runs on",
    find,
    link="allocatable",
)
