"""A webhook of the cluster, a policy engine mostly, refuses what the GPU stack or a pod needs, or does not answer."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "admission-webhook-denies",
    "admission",
    "an admission webhook refuses the object, or cannot be asked",
    signs=(
        "admission webhook denied the request",
        "admission webhook * denied the request",
        "admission webhook & {denied}",
        "failed calling webhook",
        "failed to call webhook",
        "validatingadmissionpolicy & denied request",
        "webhook & denied the request",
    ),
    who=("apiserver", "helm", "operator", "kubelet"),
    next="read the policy of the webhook that the message names and exempt the namespace or the workload there;"
    " where it could not be called, mend its service first",
)
