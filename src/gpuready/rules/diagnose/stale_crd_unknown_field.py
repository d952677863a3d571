"""Helm installs CRDs once and never replaces them: a chart of another release meets an old schema."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "stale-crd-unknown-field",
    "install",
    "the CRD in the cluster is not the one of this chart release",
    signs=(
        "{crd} & unknown field & !{node feature discovery} & !warnings.go",
        "{crd} & strict decoding error & !{node feature discovery}",
        "clusterpolicy* & required value",
        "{operator field} & required value",
        "unknown field {operator field}",
        "nvidiadriver* & unknown field",
        "no matches for kind & nvidia.com/* & !resource.nvidia.com/*",
        "no matches for kind clusterpolicy",
        "no matches for kind nvidiadriver",
        "failed to list *.nvidiadriver & could not find the requested resource",
        "failed to list *.clusterpolicy & could not find the requested resource",
        "clusterpolicies.nvidia.com & {absent} & !{denied}",
        "nvidiadrivers.nvidia.com & {absent} & !{denied}",
        "validationerror clusterpolicy*",
        "unknown field & com.nvidia.*",
    ),
    next=(
        "apply the CRDs of the release that is installed (helm pull nvidia/gpu-operator --version V --untar,"
        " then kubectl apply -f gpu-operator/crds/ --server-side): helm upgrade does not"
    ),
)
