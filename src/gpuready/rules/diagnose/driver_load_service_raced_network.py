"""A boot script asks the cloud's metadata which GPU it is, gets no answer and gives up."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-load-service-raced-network",
    "kernel driver",
    "the service that loads the driver ran before the network was up",
    signs=(
        "configure-nvidia* & {failing}",
        "{instance metadata} & {refused}",
        "{instance metadata} & {refused} & nvidia*",
        "configure-nvidia* & {refused}",
        "nvidia-kmod-load* & {failing}",
        "set-nvidia-clocks* & {failing}",
        "configure-nvidia* & failed with result",
    ),
    who=("driver",),
    next=(
        "restart that unit (`systemctl restart configure-nvidia`) while no GPU pod runs, and order it"
        " after network-online.target"
    ),
)
