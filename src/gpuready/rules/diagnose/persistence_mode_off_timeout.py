"""The driver initialises its GPUs at every first use, and takes longer than the container tools wait."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "persistence-mode-off-timeout",
    "kernel driver",
    "the driver takes too long to initialise its GPUs for a container",
    signs=(
        "driver rpc error timed out",
        "driver error timed out",
        "{toolkit} & initialization error & {timeout}",
        "{toolkit} & detection error & {timeout}",
    ),
    because=("gpu-fell-off-bus", "gpu-unhealthy-xid"),
    next="look for Xid and `fallen off the bus` in dmesg; where there is none, start nvidia-persistenced on the"
    " node (`nvidia-smi -pm 1` at once)",
)
