"""Pods that a kubelet refused, and whether their node would take them now.

The kubelet sets a pod that it refuses to Failed and never looks at it again; only a controller makes another one.
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
"""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.facts.said import Said
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, complete, known, members
from gpuready.rules.diagnose._hosts import with_find
from gpuready.rules.diagnose._objects import Seen, asks, holders, with_objects

# Reasons of pkg/kubelet/lifecycle/predicate.go, cm/admission and nodeshutdown; one more for each resource: OutOfcpu
REASONS = frozenset({
    "UnexpectedAdmissionError",
    "TopologyAffinityError",
    "NodeAffinity",
    "MatchNodeSelector",
    "InvalidNodeInfo",
    "NodeShutdown",
})  # fmt: skip


def refused(pod: Pod) -> bool:
    """By the kubelet of its node, whatever for; an evicted pod is another matter, since it had run."""
    return pod.phase == "Failed" and bool(pod.node) and (pod.reason in REASONS or pod.reason.startswith("OutOf"))


def has_room(cluster: ClusterFacts) -> Iterator[tuple[Pod, dict[str, int]]]:
    """Refused pods that asked for GPUs which their node could give them by now, with what is free of these.

    Touches what it would have to know of the node and the pods there.
    """
    left = [pod for pod in members(cluster.pods) if refused(pod) and asks(pod)]
    if not left:
        complete(cluster.pods)
        return
    nodes = {node.name: node for node in known(cluster.nodes)}
    held = holders(known(cluster.pods))
    for pod in left:
        there = [asks(other) for other in held.get(pod.node, ())]
        offered = nodes[pod.node].allocatable if pod.node in nodes else {}
        free = {name: offered.get(name, 0) - sum(one.get(name, 0) for one in there) for name in asks(pod)}
        if all(free[name] >= number for name, number in asks(pod).items()):
            yield pod, free


def _nothing(_cluster: ClusterFacts) -> Iterator[Finding]:
    return iter(())


def without_past(rule: Rule, seen: Seen = _nothing) -> Rule:
    """`with_objects`, silent where all that was said or seen is over: refused pods whose node has room by now."""
    whole = with_objects(rule, seen)

    def find(said: Said, cluster: ClusterFacts) -> Iterator[Finding]:
        past: frozenset[str] | None = None
        for one in whole.find(said, cluster):
            past = _past(cluster) if past is None else past
            if not (one.pods and past.issuperset(one.pods)):
                yield one

    return with_find(rule, find)


def _past(cluster: ClusterFacts) -> frozenset[str]:
    """Empty where it cannot be seen: then the words count."""
    try:
        return frozenset(pod.key for pod, _ in has_room(cluster))
    except TouchedUnknown:
        return frozenset()
