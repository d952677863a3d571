"""A GPU before Turing has no GSP."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "open-kernel-module-unsupported-gpu",
    "kernel driver",
    "this GPU cannot be driven by the open kernel modules",
    signs=(
        "not supported by open",
        "openrmenableunsupportedgpus",
        "open nvidia.ko is only ready for use on",
        "openrmenableunsupportedgpus kernel module parameter",
        "installed in this system is not supported by open",
        "does not include the required gpu",
        "{open module} & not supported & gpu",
        "gpu & does not include the required gpu system processor",
    ),
    next=(
        "install the proprietary modules of a branch that serves this GPU (operator:"
        " driver.kernelModuleType=proprietary)"
    ),
)
