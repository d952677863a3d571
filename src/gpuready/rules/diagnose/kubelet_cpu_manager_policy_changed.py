"""The CPU or memory manager was configured anew, and the state of the former configuration stayed on the disk."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "kubelet-cpu-manager-policy-changed",
    "node",
    "the kubelet's CPU or memory manager state is of a former configuration",
    signs=(
        "configured policy & differs from",
        "differs from state checkpoint policy",
        "{kubelet state file} & differs from",
        "current set of available cpus & {mismatch}",
        "expected machine state is different from",
        "start cpu manager error & !corrupted",
        "start memory manager error & !corrupted",
        "{kubelet state file} & {mismatch} & !corrupted",
    ),
    who=("kubelet",),
    next="drain the node, stop the kubelet, delete /var/lib/kubelet/cpu_manager_state (or memory_manager_state),"
    " then start the kubelet again",
)
