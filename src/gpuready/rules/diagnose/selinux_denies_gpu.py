"""The device nodes or the nvidia files bear a label that the container's domain may not use."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "selinux-denies-gpu",
    "container start",
    "SELinux denies the container the GPU's device nodes",
    signs=(
        "avc & denied & {nvidia device} & !module_load & !device-plugins",
        "{selinux} & {denied} & {nvidia device} & !module_load & !device-plugins & !kubelet.sock",
        "{nvml start} & {no permission} & !{mig}",
        "{nvml} & {no permission} & !{mig}",
    ),
    next=(
        "read `ausearch -m avc -ts recent` on the node; relabel with `restorecon -Rv /dev` or load a policy module "
        "(container_use_devices, nvidia_container_t)"
    ),
)
