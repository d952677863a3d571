"""Two owners of one kernel module."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "host-driver-preinstalled-conflict",
    "kernel driver",
    "the host has a driver of its own, and the driver container wants to install another",
    signs=(
        "driver is pre-installed on host",
        "driver & pre-installed on host & {failing}",
        "alternate method of installing the nvidia driver was detected",
        "existing nvidia driver & {mismatch}",
        "nvidia driver is already installed & host & {failing}",
        "nvidia* & preinstalled & {failing}",
        "another driver installation & nvidia",
        "nvidia driver & already installed via",
    ),
    next=("either remove the host's driver packages and reboot, or install the operator with driver.enabled=false"),
)
