"""The scheduler finds no node with a GPU that is free: none offers one, or all are taken."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "pod-cannot-be-scheduled-for-gpus",
    "scheduling",
    "no node has a free GPU for the pod",
    signs=(
        "insufficient {gpu resource}",
        "{gpu resource} & {unschedulable}",
        "{nvidia} & {unschedulable}",
    ),
    who=("scheduler", "apiserver"),
    symptom=True,
    because=(
        "wrong-resource-name",
        "pod-gpu-request-exceeds-node",
        "gpu-node-taint-not-tolerated",
        "gpu-held-by-another-pod",
        "gpu-nodes-cordoned",
        "gpu-quota-exceeded",
        "gpu-pod-preempted",
        "limit-range-adds-gpus",
        "preemption-switched-off",
    ),
    next="compare Capacity, Allocatable and Allocated of nvidia.com/gpu (`kubectl describe nodes`): 0 or absent is"
    " a fault of driver or plugin, all allocated means that pods hold them",
)
