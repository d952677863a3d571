"""Nothing can be created in a namespace that is being deleted."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    namespace = known(cluster.own_namespace)
    if namespace is not None and namespace.phase == "Terminating":
        yield Finding(
            at=f"ns/{namespace.name}",
            says="the namespace is being deleted and takes no new objects",
            evidence=(f"ns/{namespace.name} status.phase Terminating", *namespace.blocked),
            next=f"kubectl wait --for=delete ns/{namespace.name} --timeout=5m, then gpuready up",
        )


RULE = Rule("namespace-terminating", "preflight", "refuse", "Our namespace is being deleted", find)
