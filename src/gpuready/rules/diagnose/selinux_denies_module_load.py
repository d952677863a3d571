"""nvidia.ko lies on the container's overlay with a label from which that domain may load no modules."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "selinux-denies-module-load",
    "kernel driver",
    "SELinux denies loading the nvidia module",
    signs=(
        "avc & module_load",
        "module_load & denied",
        "could not insert * permission denied & nvidia*",
        "{load module} & nvidia*.ko & permission denied",
        "init_module & nvidia* & permission denied",
        "{selinux} & {denied} & {nvidia module} & {load module}",
    ),
    next=(
        "read `ausearch -m avc -ts recent` on the node; run containerd with enable_selinux and the current "
        "container-selinux, or load a policy that allows module_load"
    ),
)
