"""NodeFeature and NodeFeatureRule are not served: Helm does not bring new CRDs on upgrade."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
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
)
