"""The GPU is older than the driver's branch still serves."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-branch-too-new-for-gpu",
    "kernel driver",
    "this driver branch has dropped the GPU",
    signs=(
        "nvidia * legacy drivers",
        "supported through the nvidia * legacy",
        "nvidia driver will ignore",
        "the * nvidia driver will ignore",
        "legacy drivers & nvidia",
        "requires a legacy & nvidia driver",
        "gpu & no longer supported by & driver",
    ),
    next="pin the driver to the last branch that serves this GPU, as the message names it",
)
