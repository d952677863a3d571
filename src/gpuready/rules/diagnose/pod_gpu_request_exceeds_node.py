"""No node, there or to come, has as many GPUs as the containers of the pod ask for together."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "pod-gpu-request-exceeds-node",
    "scheduling",
    "no node, there or to come, has as many GPUs as the pod asks for",
    signs=(
        "didn't trigger scale-up & insufficient {gpu resource}",
        "scale-up predicate failed & insufficient {gpu resource}",
        "predicate checking error insufficient {gpu resource}",
        "no instance type satisfied resources & {gpu resource}",
        "no instance type has enough resources & {gpu resource}",
        "no instance type met & {gpu resource}",
        "didn't have enough resource & {gpu resource} & used 0 & !capacity 0",
    ),
    next="add up limits[nvidia.com/gpu] over the pod's containers and compare with the nodes' capacity; where a"
    " node group is empty, tell the autoscaler its GPUs (AWS: tag"
    " k8s.io/cluster-autoscaler/node-template/resources/nvidia.com/gpu)",
)
