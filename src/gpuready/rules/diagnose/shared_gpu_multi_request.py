"""A container asked for more than one replica of a shared GPU, which buys it nothing and is refused."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "shared-gpu-multi-request",
    "admission",
    "a container asks for more than one replica of a shared GPU",
    signs=(
        "maximum request size for shared resources",
        "shared resources & invalid request & {gpu resource}",
        "invalid request for sharing gpu",
        "at most 1 nvidia.com/gpu can be requested",
    ),
    next="set the limit nvidia.com/gpu of that container to 1, or share the node's GPUs into fewer replicas",
)
