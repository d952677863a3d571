"""NodeFeature and NodeFeatureRule are not served: Helm does not bring new CRDs on upgrade."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.knowledge.crd_fields import release
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.diagnose._objects import with_objects
from gpuready.rules.diagnose._said import said_rule

CRD = "nodefeatures.nfd.k8s-sigs.io"
# github.com/kubernetes-sigs/node-feature-discovery, release notes of v0.17: the NodeFeature API cannot be switched off
SINCE = (0, 17, 0)


def _seen(cluster: ClusterFacts) -> Iterator[Finding]:
    crds = known(cluster.crds)
    if any(crd.name == CRD for crd in crds):
        return
    for ds in known(cluster.daemonsets):
        for image in ds.images:
            version = release(image.partition("@")[0].rpartition(":")[2])
            if "node-feature-discovery" in image and version and version >= SINCE:
                yield Finding(
                    at=f"ds/{ds.key}",
                    says=f"it writes NodeFeatures, and the CRD {CRD} is not there",
                    evidence=(f"image of ds/{ds.key}: {image}", f"crd/{CRD} is absent"),
                    next="apply the CRDs of that NFD release (deployment/base/nfd-crds of its tag) by kubectl apply"
                    " --server-side, then restart nfd-master",
                )


RULE = with_objects(
    said_rule(
        "nfd-crd-missing",
        "discovery",
        "the CRDs of Node Feature Discovery are not in the cluster",
        signs=(
            "nodefeature* & could not find the requested resource",
            "{node feature discovery} & could not find the requested resource",
            "no matches for kind nodefeature*",
            "{node feature discovery} & no matches for kind",
            "nodefeature* & server doesn't have a resource type",
            "nodefeature*.nfd.k8s-sigs.io & not found & !not found in cache",
            "waiting for * nodefeature* crd",
        ),
        next=(
            "apply the CRDs of the NFD release that runs (deployment/helm/node-feature-discovery/crds of that"
            " tag) with kubectl apply --server-side -f, then restart nfd-master"
        ),
    ),
    _seen,
)
