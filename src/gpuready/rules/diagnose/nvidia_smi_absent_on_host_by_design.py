"""The tools live in the driver container under /run/nvidia/driver."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "nvidia-smi-absent-on-host-by-design",
    "monitoring",
    "the host has no nvidia-smi; with a driver container that is as it should be",
    signs=(
        "command nvidia-smi not found but can be installed",
        "nvidia-smi command not found",
        "nvidia-smi {absent} & !exec* & !chroot & !container & !stat & !oci & !failed to & !unable to",
    ),
    who=("driver", "kernel", "operator"),
    because=("driver-not-installed",),
    next=(
        "ask the driver pod instead: `kubectl exec -n gpu-operator ds/nvidia-driver-daemonset -c"
        " nvidia-driver-ctr -- nvidia-smi`; without one, install a driver"
    ),
)
