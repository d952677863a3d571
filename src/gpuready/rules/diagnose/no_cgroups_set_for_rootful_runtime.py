"""With no-cgroups=true the hook lets no GPU into the device cgroup."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "no-cgroups-set-for-rootful-runtime",
    "toolkit",
    "the toolkit is told not to set device cgroups, which a rootful runtime enforces",
    signs=("no-cgroups true & !rootless & !#no-cgroups & !# no-cgroups",),
    next=(
        "set no-cgroups = false in /etc/nvidia-container-runtime/config.toml and restart the runtime; rootless users "
        "take a configuration of their own"
    ),
)
