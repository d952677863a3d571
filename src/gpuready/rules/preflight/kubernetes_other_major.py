"""Another major version promises nothing about the APIs that gpuready uses: refused, not merely warned about."""

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
    if served[0] > newest[0]:
        yield Finding(
            at="cluster",
            says=f"Kubernetes {version} is of a major version that gpuready does not know",
            evidence=(f"/version gitVersion {version}", versions.WINDOW.told()),
            next="use a release of gpuready that was run on it",
        )


RULE = Rule("kubernetes-other-major", "preflight", "refuse", "Unknown major version of Kubernetes", find)
