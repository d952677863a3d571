"""A container_t process may not write to the kubelet's device-plugins directory."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "selinux-denies-plugin-socket",
    "plugin",
    "SELinux denies the device plugin its socket",
    signs=(
        "avc & {plugin socket} & denied",
        "{plugin socket} & bind permission denied",
        "{plugin socket} & connect permission denied",
        "listen * & bind permission denied & nvidia*",
        "{kubelet socket} & permission denied",
    ),
    next=(
        "run the device plugin privileged, or with an SELinux type that may write to /var/lib/kubelet/device-plugins"
    ),
)
