"""The device plugin runs on a node that is said to have GPUs, and the kubelet knows of none."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.diagnose._objects import gpus, meant_for_gpus, serving_pods


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    """Not registered, or it found no GPU: its log tells. On nodes without a GPU many plugins run and offer nothing."""
    nodes = {node.name: node for node in known(cluster.nodes)}
    for owner, pod in serving_pods(cluster):
        node = nodes.get(pod.node)
        if node is None or gpus(node.capacity) or not (signs := meant_for_gpus(node)):
            continue
        if pod.phase == "Running" and all(c.ready for c in pod.containers if not c.init):
            yield Finding(
                at=f"pod/{pod.key}",
                says=f"the device plugin runs on {node.name}, and the node offers no GPU",
                evidence=(
                    f"pod/{pod.key} of {owner} is ready",
                    f"node/{node.name}: {signs[0]}, no GPU in its capacity",
                ),
                next=f"kubectl logs -n {pod.namespace} {pod.name}: whether it found GPUs and registered",
                nodes=(node.name,),
                pods=(pod.key,),
            )


RULE = Rule(
    "plugin-offers-nothing",
    "diagnose",
    "fail",
    "The device plugin runs and offers nothing",
    find,
    link="registration",
    symptom=True,
)
