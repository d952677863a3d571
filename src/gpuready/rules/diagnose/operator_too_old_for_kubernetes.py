"""A release of the operator or its chart that asks for v1beta1 kinds which Kubernetes removed."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "operator-too-old-for-kubernetes",
    "install",
    "the installed release uses an API version that this Kubernetes no longer serves",
    signs=(
        "no matches for kind & {removed api}",
        "{removed api} & could not find the requested resource",
        "{removed api} & no longer served",
        "failed to list v1beta1.* & could not find the requested resource",
        "failed to watch v1beta1.* & could not find the requested resource",
        "resource mapping not found & {removed api}",
        "no matches for kind podsecuritypolicy",
        "no matches for kind runtimeclass",
    ),
    next=(
        "install a release that supports this Kubernetes version (its support table names the range), or"
        " keep the cluster at an older one"
    ),
)
