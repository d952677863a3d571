"""Which pods wait for GPUs that they do not get."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gpuready.model.facts.cluster import Pod
from gpuready.model.names import RESOURCE

REFUSED = "UnexpectedAdmissionError"


def waits_for_gpus(pod: Pod) -> bool:
    """Refused by the kubelet for want of a device, or found no node that has one free."""
    if not any(c.requests.get(RESOURCE) for c in pod.containers):
        return False
    return pod.reason == REFUSED or (pod.phase == "Pending" and f"Insufficient {RESOURCE}" in pod.unscheduled)


def waiting(pods: Iterable[Pod]) -> Callable[[Pod], list[Pod]]:
    """Answers which of them wait for what a pod holds: those of its node, and those that have no node yet."""
    by_node: dict[str, list[Pod]] = {}
    for pod in pods:
        if waits_for_gpus(pod):
            by_node.setdefault(pod.node, []).append(pod)
    return lambda pod: [*by_node.get(pod.node, ()), *by_node.get("", ())]
