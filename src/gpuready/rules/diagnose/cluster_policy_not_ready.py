"""The GPU Operator says that not all is as its object asks. The last sign of many causes, hence the last link."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known

NOT_READY = ("notReady", "notready")


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    for obj in known(cluster.stacks):
        if obj.state in NOT_READY:
            told = [c for c in obj.conditions if c.reason and (c.status == "True") == (c.type == "Error")]
            yield Finding(
                at=obj.at,
                says=f"the {obj.kind} is not ready",
                evidence=(
                    f"{obj.at} status.state {obj.state}",
                    *(f"condition {c.type}={c.status}: {c.reason}: {c.message}"[:300] for c in told),
                ),
                next=f"kubectl describe {obj.at.replace('/', ' ')}, then mend the first part that is not ready",
            )


RULE = Rule(
    "cluster-policy-not-ready",
    "diagnose",
    "fail",
    "The GPU Operator is not ready",
    find,
    link="monitoring",
    symptom=True,
)
