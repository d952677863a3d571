"""The pod mounts the host's /run or /var/run over the place of the persistence daemon's socket."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "workload-mounts-host-run",
    "container start",
    "the pod mounts the host's /run over the place of the driver's sockets",
    signs=(
        "nvidia-persistenced/socket & no such device or address",
        "nvidia-persistenced/socket & {failing} & mount*",
        "nvidia-fabricmanager/socket & no such device or address",
        "nvidia-persistenced & socket & no such device or address",
        "*/run/nvidia-* & no such device or address",
    ),
    next="take the hostPath volume /run or /var/run out of the pod, or mount only the file or folder of it that the"
    " pod needs",
)
