"""A user-space-only installation brings no modules, so peermem cannot be loaded later."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "peermem-module-tree-missing",
    "kernel driver",
    "nvidia-peermem is in no module tree of the driver container",
    signs=(
        "module nvidia-peermem not found in directory",
        "nvidia-peermem & {absent} & !nvidia-peermem.ko & !package",
        "failed to load nvidia-peermem module",
        "module nvidia-peermem not found",
    ),
    next=(
        "force a whole installation: delete /run/nvidia/nvidia-driver.state on the node, drain it and"
        " restart the driver pod"
    ),
)
