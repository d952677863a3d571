"""no runtime for "nvidia" is configured: the RuntimeClass names a handler that the node's runtime does not have."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "runtime-handler-missing",
    "runtime config",
    "the container runtime has no handler of that name",
    signs=(
        "no runtime for * is configured",
        "failed to find runtime handler",
        "failed to get sandbox runtime & {absent}",
        "unknown runtime specified",
        "unknown or invalid runtime name",
        "invalid runtime name",
        "{runtime handler} & {absent} & !{cdi} & !runtimeclass * not found & !runtimeclass.node.k8s.io",
    ),
    who=("kubelet", "runtime"),
    next="write the nvidia runtime into the runtime's configuration on that node, then restart the runtime",
)
