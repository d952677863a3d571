"""GPUs without NVSwitch need none; the failed unit is harmless."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "fabric-manager-not-applicable",
    "monitoring",
    "the fabric manager finds no NVSwitch: nothing to manage, and no harm",
    signs=(
        "nv_warn_nothing_to_do",
        "{fabric manager} & nothing to do",
        "nvswitch & warning nothing to do",
        "nvswitch driver & failed with error & nothing to do",
        "no nvswitch* & {absent}",
        "{fabric manager} & no nvswitch",
    ),
    next=(
        "turn the unit off where there is no NVSwitch (`systemctl disable --now nvidia-fabricmanager`);"
        " nothing else depends on it"
    ),
)
