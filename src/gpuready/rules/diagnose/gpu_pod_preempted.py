"""A pod of higher priority needed the GPU: the scheduler, or the kubelet for a critical pod, ended this one for it.

The victim is deleted; what its controller makes in its place waits like any other. Who is nobody's pod is gone.
https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/
"""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Event, Pod
from gpuready.model.facts.said import Said
from gpuready.model.rule import Finding
from gpuready.model.unknown import Unknown, complete, known, members
from gpuready.rules.diagnose._hosts import with_find
from gpuready.rules.diagnose._objects import asks, with_objects
from gpuready.rules.diagnose._said import said_rule
from gpuready.rules.diagnose._stuck import stuck

NEXT = (
    "give its workload a PriorityClass as high as that of the other (`kubectl get priorityclass`), or add a GPU node;"
    " it starts by itself when a GPU is free"
)


def _seen(cluster: ClusterFacts) -> Iterator[Finding]:
    """Those that wait now, in the place of one that had to go."""
    for one in stuck(cluster, "held"):
        preemptions = known(cluster.preemptions)
        hits = [event for event in members(preemptions) if any(_stood_for(event.about, pod) for pod in one.pods)]
        if not hits:
            complete(preemptions)
            continue
        taker = _taker(hits[0], members(cluster.pods))
        by = f"pod/{taker.key}, of priority {taker.priority}" if taker else "a pod of higher priority"
        yield one.finding(
            f"it had to give way to {by}, and waits for a GPU",
            (
                *(f"event of {event.about}: {event.message}" for event in hits[:3]),
                f"priority of pod/{one.pods[0].key}: {one.pods[0].priority}",
            ),
            NEXT,
        )


def _stood_for(about: str, pod: Pod) -> bool:
    """The victim itself (a StatefulSet gives the name again), or another one of the same controller."""
    owner = pod.owner.partition("/")[2]
    return about == f"pod/{pod.key}" or bool(owner and about.startswith(f"pod/{pod.namespace}/{owner}-"))


def _taker(event: Event, pods: tuple[Pod, ...]) -> Pod | None:
    """ "Preempted by pod UID on node gpu-1", before 1.22 by its name."""
    words = event.message.split()
    return next((pod for pod in pods if pod.uid in words or pod.key in words), None)


WITH_OBJECTS = with_objects(
    said_rule(
        "gpu-pod-preempted",
        "scheduling",
        "a pod of higher priority took the place of this one",
        signs=(
            "preempted by pod * .. on node",
            "preempted by a pod on node",
            "preempted by * * on node",
            "preempting to accommodate a higher priority pod",
            "preempted in order to admit critical pod",
        ),
        who=("scheduler", "kubelet", "apiserver"),
        next=NEXT,
    ),
    _seen,
)


def find(said: Said, cluster: ClusterFacts) -> Iterator[Finding]:
    """Not of pods that ask for no GPU, nor of those that a controller has replaced: the new one is judged by itself."""
    pods = {} if isinstance(cluster.pods, Unknown) else {pod.key: pod for pod in members(cluster.pods)}
    for finding in WITH_OBJECTS.find(said, cluster):
        about = [pods[key] for key in finding.pods if key in pods]
        if not about or any(asks(pod) and not (pod.phase == "Failed" and pod.owner) for pod in about):
            yield finding


RULE = with_find(WITH_OBJECTS, find)
