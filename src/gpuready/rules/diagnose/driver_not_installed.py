"""A GPU is there, and neither the host nor a pod brings a driver."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-not-installed",
    "kernel driver",
    "the node has no NVIDIA driver",
    signs=(
        "nvidia driver is not installed",
        "nvidia drivers are not installed",
        "no nvidia driver installed",
        "no nvidia drivers installed",
        "nvidia driver not installed",
        "nvidia drivers not installed",
        "no nvidia driver found on this",
        "nvidia driver & {absent} & host & !nvidia.ko",
        "no packages found matching nvidia-driver*",
        "package nvidia-driver* is not installed",
        "nvidia driver installation not found",
        "nvidia driver & is not installed",
        "nvidia-driver-installer & {absent}",
    ),
    next=(
        "install a driver on the node, or let the operator do it (driver.enabled=true; on GKE the driver"
        " installer's DaemonSet or gpu-driver-version)"
    ),
)
