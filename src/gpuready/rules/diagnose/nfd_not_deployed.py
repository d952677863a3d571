"""The operator finds GPU nodes by NFD's PCI labels."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "nfd-not-deployed",
    "discovery",
    "no node has labels of Node Feature Discovery, so the operator deploys nothing",
    signs=(
        "nfdlabelsmissing",
        "no nfd label* found",
        "nfd labels missing in the cluster",
        "could not find nfd label* for node",
        "could not get any nodes to match",
        "is nfd installed",
        "could not find kernel full version",
        "could not get kernel full version",
        "hasnfdlabels false",
        "couldn't find kernel-version.full",
    ),
    next=(
        "see whether NFD runs (kubectl get pods -A, names with node-feature-discovery or nfd); install it"
        " (nfd.enabled=true) or label the GPU nodes feature.node.kubernetes.io/pci-10de.present=true"
    ),
)
