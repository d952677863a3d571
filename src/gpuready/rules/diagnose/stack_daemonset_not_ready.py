"""Pods of a DaemonSet of the GPU stack are missing or not ready. The last sign of many causes, hence the last link."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import complete, known, members
from gpuready.rules.diagnose._objects import of_stack


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    behind = [ds for ds in members(cluster.daemonsets) if of_stack(ds) and ds.ready < ds.desired]
    pods: dict[str, list[Pod]] = {}
    for pod in known(cluster.pods) if behind else ():
        if pod.owner.startswith("ds/") and not all(c.ready for c in pod.containers if not c.init):
            pods.setdefault(f"{pod.namespace}/{pod.owner.removeprefix('ds/')}", []).append(pod)
    for ds in behind:
        bad = pods.get(ds.key, [])
        yield Finding(
            at=f"ds/{ds.key}",
            says=f"{ds.ready} of its {ds.desired} pods are ready",
            evidence=(
                f"ds/{ds.key}: desired {ds.desired}, current {ds.current}, ready {ds.ready}",
                *(f"pod/{pod.key} on node/{pod.node}: {pod.reason or pod.phase}" for pod in bad[:3]),
            ),
            next=f"kubectl describe pods -n {ds.namespace}, those of ds/{ds.name} that are not ready, then their logs",
            nodes=tuple(sorted({pod.node for pod in bad if pod.node})),
            pods=tuple(pod.key for pod in bad),
        )
    complete(cluster.daemonsets)


RULE = Rule(
    "stack-daemonset-not-ready",
    "diagnose",
    "fail",
    "A DaemonSet of the GPU stack is not ready",
    find,
    link="monitoring",
    symptom=True,
)
