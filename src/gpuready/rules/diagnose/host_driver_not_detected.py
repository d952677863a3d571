"""Debian puts nvidia-smi behind /etc/alternatives, which old validators do not follow inside /host."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "host-driver-not-detected",
    "toolkit",
    "the validator does not see the driver of the host: its nvidia-smi is a symbolic link",
    signs=(
        "nvidia-smi & etc/alternatives/*",
        "etc/alternatives/nvidia* & nvidia-smi",
    ),
    next=(
        "use an operator release that follows links under /host, or replace /usr/bin/nvidia-smi on the host"
        " by the file itself"
    ),
)
