"""Releases up to 1.5 bring CRDs of an API that Kubernetes 1.22 and newer do not serve: none can be created."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.knowledge import operator, versions
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.spec import GPU_OPERATOR, Setup
from gpuready.model.unknown import TouchedUnknown, Unknown


def find(cluster: ClusterFacts, setup: Setup) -> Iterator[Finding]:
    asked, old = setup.gpu_operator.version, operator.data().crds_v1beta1
    if setup.stack != GPU_OPERATOR or not asked or operator.order_of(asked) > operator.order_of(old.last):
        return
    served, first = versions.parse(cluster.identity.version), versions.parse(old.kubernetes_below)
    assert first is not None
    if served is None:
        raise TouchedUnknown(Unknown("the API server gave no version that can be read", ask="kubectl version"))
    if served >= first:
        yield Finding(
            at="cluster",
            says=f"GPU Operator {asked} brings CRDs of apiextensions.k8s.io/v1beta1, which this cluster does not serve",
            evidence=(f"/version gitVersion {cluster.identity.version}", operator.data().sources["crds"]),
            next=f"ask for {operator.fitting(served).version}, or leave out gpuOperator.version",
        )


RULE = Rule("operator-crds-not-served", "preflight", "refuse", "The operator's CRDs cannot be created", find)
