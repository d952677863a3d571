"""SELinux does not let the MPS control daemon label its pipe directory for the containers."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "mps-selinux-label-denied",
    "plugin",
    "SELinux refuses the label of the MPS pipe directory",
    signs=(
        "error setting selinux context & {failing}",
        "lsetxattr & {mps}",
        "lsetxattr & mps & {denied}",
        "{selinux} & relabelto & *mps*",
        "avc denied & *mps*",
    ),
    next="update the node's SELinux policy to one that lets nvidia-device-plugin-mps-control-daemon relabel"
    " /run/nvidia/mps; read the denial with `ausearch -m avc -ts recent`",
)
