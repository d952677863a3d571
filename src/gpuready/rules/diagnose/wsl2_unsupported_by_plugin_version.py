"""WSL2 has no minor numbers of GPUs, and device plugins before 0.15 insist on them."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "wsl2-unsupported-by-plugin-version",
    "plugin",
    "this release of the device plugin does not support WSL2",
    signs=(
        "minor number & not supported",
        "error getting gpu device minor number",
        "minor number & {nvml} & not supported",
    ),
    who=("plugin", "discovery", "monitoring"),
    next="update the device plugin to 0.15 or later (GPU Operator 24.3 or later) on that WSL2 node",
)
