"""Blackwell and later, and some before, refuse the proprietary flavour."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "open-kernel-module-required",
    "kernel driver",
    "this GPU is driven by the open kernel modules only",
    signs=(
        "requires use of the nvidia open kernel modules",
        "installed in this system requires use of the",
        "requires use of nvidia open kernel",
        "only supported by the open & module*",
        "gpu* & only & {open module} & {failing}",
        "nvidia open kernel modules & required",
        "xid * 169,",
        "xid 169",
        "gpu & requires & {open module}",
        "requires the nvidia open & module*",
    ),
    next=("install the same driver version with the open modules (operator: driver.kernelModuleType=open or auto)"),
)
