"""They must be equal to the last digit."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "fabric-manager-version-mismatch",
    "kernel driver",
    "the fabric manager is of another version than the driver",
    signs=(
        "fabric manager & interface version & {mismatch}",
        "{mismatch} with driver version",
        "{fabric manager} & {mismatch}",
        "{fabric manager} & driver version & {mismatch}",
        "fabric manager & matching nvidia driver package",
        "update with matching nvidia driver package",
        "nvidia-nvswitch version mismatch",
    ),
    next=(
        "install nvidia-fabricmanager of exactly the driver's version (`cat /proc/driver/nvidia/version`)"
        " and restart it"
    ),
)
