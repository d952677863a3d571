"""Which pods wait for GPUs that they do not get."""

from __future__ import annotations

from gpuready.model.facts.cluster import Pod
from gpuready.model.names import RESOURCE

REFUSED = "UnexpectedAdmissionError"


def waits_for_gpus(pod: Pod) -> bool:
    """Refused by the kubelet for want of a device, or found no node that has one free."""
    if not any(c.requests.get(RESOURCE) for c in pod.containers):
        return False
    return pod.reason == REFUSED or (pod.phase == "Pending" and f"Insufficient {RESOURCE}" in pod.unscheduled)
