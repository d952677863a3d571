"""A pod without a controller that a kubelet refused stays Failed for ever, also when its reason is long gone.

Whoever waits for it to start waits in vain: neither kubelet nor scheduler look at it again. Another one of the same
name can only be created once it is deleted. As long as the reason is there, that is the cause, and this is silent.
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-phase
"""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.rules.diagnose._refused import has_room


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    for pod, free in has_room(cluster):
        if pod.owner:
            continue  # its controller has made another one
        yield Finding(
            at=f"pod/{pod.key}",
            says="the kubelet refused it, and a pod without a controller is not tried again; its node has room now",
            evidence=(
                f"status of pod/{pod.key}: Failed, {pod.reason}{f': {pod.message}' if pod.message else ''}",
                *(f"node/{pod.node} has {number} {name} free by now" for name, number in sorted(free.items())),
            ),
            next=f"kubectl delete pod -n {pod.namespace} {pod.name}, then create it again from its manifest",
            nodes=(pod.node,),
            pods=(pod.key,),
        )


RULE = Rule(
    "refused-pod-not-retried",
    "diagnose",
    "fail",
    "A pod that the kubelet once refused is left over, although its node could take it now",
    find,
    link="admission",
)
