"""A ResourceQuota other than the one on GPUs keeps pods away: GKE wants one for system priority classes."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "resource-quota-blocks-pods",
    "scheduling",
    "a ResourceQuota of the namespace does not let the pods be created",
    signs=(
        "insufficient quota to match these scopes",
        "exceeded quota & !{gpu resource}",
        "failed quota & must specify",
        "{quota} & priorityclass & {denied}",
    ),
    next="read the quotas of that namespace (`kubectl describe quota`); on GKE create one in the operator's"
    " namespace that matches PriorityClass In [system-node-critical, system-cluster-critical]",
)
