"""What most components say first, whatever the reason is."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "nvml-cannot-be-initialised",
    "libraries",
    "NVML cannot be initialised",
    signs=(
        "{nvml start} & {failing}",
        "{nvml start} & {absent}",
        "{nvml} & {failing} & !driver/library & !mismatch & !xid",
    ),
    symptom=True,
    because=(
        "driver-root-mismatch",
        "host-glibc-too-old",
        "jetson-unsupported-by-plugin-version",
        "wsl2-unsupported-by-plugin-version",
        "sandboxutils-init-failure",
        "selinux-denies-gpu",
        "nvidia-runtime-not-default-and-no-runtimeclass",
        "cgroup-device-access-lost",
    ),
    next=(
        "run nvidia-smi on the node: if it fails there, look at the driver; if it works, at how the runtime gives the"
        " GPU to that container"
    ),
)
