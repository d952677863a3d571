"""A program sees no GPU. Where nothing before it is broken, its container has no GPU limit, so it was given none."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "workload-did-not-request-gpu",
    "compute",
    "the program sees no GPU in its container",
    signs=(
        "{no gpu seen}",
        "no cuda-capable device is detected",
        "no cuda gpus are available",
        "cuda_error_no_device",
    ),
    who=("workload", "workload-check", "runtime"),
    symptom=True,
    next="look for limits[nvidia.com/gpu] in the container's resources first; where it is set, compare"
    " runtimeClassName and NVIDIA_VISIBLE_DEVICES in the container with what the node's plugin hands out",
)
