"""The pod asks for a resource name that no node advertises, as the shared or MIG names, or a name without a domain."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "wrong-resource-name",
    "scheduling",
    "the pod asks for a GPU by a name that no node offers",
    signs=(
        "insufficient {unusual gpu resource}",
        "insufficient {unusual gpu resource} & {failing}",
        "must be a standard resource type or fully qualified & *gpu*",
        "must be a standard resource for containers & *gpu*",
        "{gpu resource} & was requested but not registered",
        "resource * was requested but not registered",
    ),
    next="take the name from Allocatable in `kubectl describe node` (nvidia.com/gpu, nvidia.com/gpu.shared,"
    " nvidia.com/mig-*) and use it in the pod's limits",
)
