"""The mode outlives a reboot, the instances do not, and nobody makes them again."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "mig-enabled-without-instances",
    "hardware",
    "MIG mode is on and the GPU has no MIG device",
    signs=(
        "has no mig devices configured",
        "no mig devices configured",
        "no mig devices found & !falling back",
        "invalid mig configuration & device",
        "migenabled=true was not configured correctly",
        "mig enabled & no mig devices",
        "mig mode & enabled & no & instances",
        "no mig-supported devices found",
        "mig & enabled & no gpu instances found",
        "no gpu instances found",
        "no gpu instances were found",
        "mig-enabled & device & {absent} & mig devices",
    ),
    because=("mig-config-invalid", "mig-reset-blocked-by-gpu-client", "mig-mode-change-needs-reboot"),
    next=(
        "choose a layout for the node (label nvidia.com/mig.config with the MIG manager, or `nvidia-smi"
        " mig -cgi <profile> -C`), or turn MIG off"
    ),
)
