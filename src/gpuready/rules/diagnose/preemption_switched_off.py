"""The pod's PriorityClass says preemptionPolicy: Never, so it waits although pods of lower priority hold the GPUs.

https://kubernetes.io/docs/concepts/scheduling-eviction/pod-priority-preemption/#non-preempting-priority-class
"""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import members
from gpuready.rules.diagnose._objects import ENDED, asks
from gpuready.rules.diagnose._stuck import stuck

NEVER = (
    "preemptionPolicy=Never"  # of the scheduler's message: "preemption: not eligible due to preemptionPolicy=Never."
)


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    for one in stuck(cluster, "held"):
        first, here = one.pods[0], {node.name for node in one.nodes}
        lower = [
            pod
            for pod in members(cluster.pods)
            if pod.node in here and pod.phase not in ENDED and one.asked.resource in asks(pod)
            if pod.priority < first.priority
        ]
        if NEVER not in first.unscheduled or not lower:
            continue
        yield one.finding(
            f"its priority {first.priority} is higher than that of pods which hold GPUs, but it may not preempt them",
            (
                f"condition PodScheduled of pod/{first.key}: {first.unscheduled}",
                *(f"pod/{pod.key} of priority {pod.priority} holds GPUs of node/{pod.node}" for pod in lower[:4]),
            ),
            "wait, or give it a PriorityClass whose preemptionPolicy is not Never (`kubectl get priorityclass`)",
        )


RULE = Rule(
    "preemption-switched-off",
    "diagnose",
    "fail",
    "A pod of higher priority may not preempt those that hold the GPUs",
    find,
    link="scheduling",
)
