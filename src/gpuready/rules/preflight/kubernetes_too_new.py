"""Newer than tested is a warning: within Kubernetes 1 the APIs that gpuready uses are stable and stay."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.knowledge import versions
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, Unknown


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    newest, version = versions.WINDOW.newest, cluster.identity.version
    served = versions.parse(version)
    if served is None:
        raise TouchedUnknown(Unknown("the API server gave no version that can be read", ask="kubectl version"))
    if served[0] == newest[0] and served > newest:
        yield Finding(
            at="cluster",
            says=f"Kubernetes {version} is newer than {versions.show(newest)}, the newest that gpuready was run on",
            evidence=(f"/version gitVersion {version}", versions.WINDOW.told()),
            next="gpuready apply --dry-run=server shows what that API server accepts",
        )


RULE = Rule("kubernetes-too-new", "preflight", "warn", "Kubernetes is newer than what was tested", find)
