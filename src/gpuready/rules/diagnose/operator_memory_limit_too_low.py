"""The cache of the operator grows with the number of nodes; the default limit is too small for large clusters."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "operator-memory-limit-too-low",
    "install",
    "the GPU Operator is killed at its own memory limit",
    signs=(
        "gpu-operator-* & oomkilled & !*node-feature-discovery* & !*dcgm*",
        "killed process * gpu-operator",
        "oom & victim process gpu-operator",
        "reason oomkilled",
        "memory cgroup out of memory & gpu-operator",
    ),
    who=("operator", "kernel", "kubelet"),
    next=(
        "raise operator.resources.limits.memory in the values (1400Mi on clusters of several hundred nodes)"
        " and upgrade the release"
    ),
)
