"""A release of the operator whose documentation does not name the cluster's Kubernetes version."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.knowledge import operator, versions
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.spec import GPU_OPERATOR, Setup
from gpuready.model.unknown import TouchedUnknown, Unknown


def find(cluster: ClusterFacts, setup: Setup) -> Iterator[Finding]:
    if setup.stack != GPU_OPERATOR:
        return
    served = versions.parse(cluster.identity.version)
    if served is None:
        raise TouchedUnknown(Unknown("the API server gave no version that can be read", ask="kubectl version"))
    asked = setup.gpu_operator.version
    fitting = operator.fitting(served)
    release = operator.release(asked) if asked else fitting
    if release is None:
        yield Finding(
            at="cluster",
            says=f"what GPU Operator {asked} is for is not known here",
            evidence=(f"the newest release known is {operator.newest().version}, as of {operator.data().as_of}",),
            next=f"read its platform support page; {fitting.version} is known for Kubernetes {fitting.kubernetes}",
        )
    elif not release.fits(served):
        yield Finding(
            at="cluster",
            says=f"GPU Operator {release.version} is not documented for Kubernetes {versions.show(served)}",
            evidence=(release.source(), f"/version gitVersion {cluster.identity.version}"),
            next="leave out gpuOperator.version"
            if fitting.fits(served)
            else f"none is documented for it; the nearest is {fitting.version}",
        )


RULE = Rule("operator-outside-window", "preflight", "warn", "The operator is not documented for this Kubernetes", find)
