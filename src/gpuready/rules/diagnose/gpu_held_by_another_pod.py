"""The GPUs of the node are all allocated, so the kubelet refuses a pod that was bound there."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "gpu-held-by-another-pod",
    "scheduling",
    "the node's GPUs are allocated to other pods",
    signs=(
        "requested number of devices unavailable for {gpu resource}",
        "requested number of devices unavailable & !unhealthy",
        "node didn't have enough resource {gpu resource} & !used 0",
        "didn't have enough resource & {gpu resource} & !used 0 & !capacity 0",
    ),
    next="list the pods of that node with a limit nvidia.com/gpu (`kubectl describe node`, Allocated resources),"
    " then end one that is no longer needed",
    because=("gpu-held-by-running-sidecar",),
)
