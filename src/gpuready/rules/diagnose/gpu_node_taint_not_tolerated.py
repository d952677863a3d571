"""The GPU nodes have a taint that the pod does not tolerate."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "gpu-node-taint-not-tolerated",
    "scheduling",
    "the GPU nodes have a taint that the pod does not tolerate",
    signs=(
        "untolerated taint {gpu taint}",
        "untolerated taint s {gpu taint}",
        "had taint {gpu taint}",
        "had taints {gpu taint}",
        "untolerated taint * {gpu taint}",
        "had taint * {gpu taint}",
        "doesn't tolerate & {gpu taint} & taint*",
        "{untolerated taint} & !node-role* & !node.kubernetes.io* & !{gpu taint} & !insufficient",
    ),
    next="compare key, value and effect in `kubectl describe node` (Taints) with the pod's tolerations, then add"
    " one to the pod or to the DaemonSets by their chart's values",
)
