"""A run that stops half way for want of a verb is worse than one that does not begin."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, Unknown, known


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    asked = cluster.permissions
    denied = [p for p in asked if p.allowed is False]
    if denied:
        yield Finding(
            at="cluster",
            says=f"you may not {denied[0]}{f' and {len(denied) - 1} more' if len(denied) > 1 else ''}",
            evidence=tuple(f"denied: {p}" for p in denied),
            next="gpuready rbac VERB prints the rules that a verb needs; whoever administers the cluster applies them",
        )
    if not asked:
        raise TouchedUnknown(Unknown("what you may do here was not asked", ask="kubectl auth can-i --list"))
    for permission in asked:
        known(permission.allowed)


RULE = Rule("missing-permission", "preflight", "refuse", "A permission is missing", find)
