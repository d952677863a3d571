"""The GPU Operator obeys the oldest ClusterPolicy alone: what a second one says is not done."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    policies = [obj for obj in known(cluster.stacks) if obj.kind == "ClusterPolicy"]
    for obj in policies:
        if obj.state == "ignored":
            others = [other.at for other in policies if other is not obj]
            yield Finding(
                at=obj.at,
                says="the GPU Operator ignores it: there is an older ClusterPolicy",
                evidence=(f"{obj.at} status.state ignored", *(f"{other} is there too" for other in others[:3])),
                next=f"put what it says into the other one, then kubectl delete {obj.at.replace('/', ' ')}",
            )


RULE = Rule(
    "cluster-policy-ignored",
    "diagnose",
    "fail",
    "A second ClusterPolicy is ignored",
    find,
    link="install",
)
