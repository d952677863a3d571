"""The capability mig/monitor is not given to its container."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "mig-monitor-permission-missing",
    "plugin",
    "the plugin may not read the memory of MIG devices",
    signs=(
        "error getting device memory info insufficient",
        "error getting memory info & insufficient permissions",
        "memory info & insufficient permission*",
        "{mig} & monitor & {denied}",
        "nvidia-cap* & {denied}",
        "nvidia-caps & {denied}",
        "{mig} & insufficient permissions",
        "mig/monitor & {denied}",
    ),
    next=(
        "give the plugin's container NVIDIA_MIG_MONITOR_DEVICES=all and make it privileged (chart:"
        " compatWithCPUManager or securityContext)"
    ),
)
