"""The GPU came out after the driver's branch."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-branch-too-old-for-gpu",
    "kernel driver",
    "this driver release does not know the GPU",
    signs=(
        "installed in this system is not supported by the",
        "is not supported by the nvidia .. driver release",
        "nvidia driver release & not supported",
        "doesn't support * gpu devices",
        "does not support * gpu devices",
        "driver version * doesn't support",
        "appendix a supported nvidia gpu products",
        "gpu & not supported by this driver",
        "driver & does not support this gpu",
    ),
    next="use a newer driver branch: the GPU's first one is in the driver's list of supported products",
)
