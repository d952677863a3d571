"""The quota of the namespace, queue or cloud account has no GPU left."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "gpu-quota-exceeded",
    "scheduling",
    "the GPU quota is used up",
    signs=(
        "exceeded quota & requests {gpu resource}",
        "exceeded quota & limits {gpu resource}",
        "exceeded quota & {gpu resource}",
        "insufficient quota for {gpu resource}",
        "insufficient unused quota for {gpu resource}",
        "insufficient quota & {gpu resource}",
        "quota & *gpus* & exceeded",
        "quota_exceeded & *gpu*",
        "exceed*gpu*quota",
        "vcpulimitexceeded",
        "quota & cores & approved & {exhausted}",
        "exceeding approved & quota",
    ),
    next="compare used with hard of nvidia.com/gpu (`kubectl describe quota`, the queue, or the cloud's quota"
    " page), then free GPUs or raise it",
)
