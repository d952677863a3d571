"""The driver container mounts itself at /run/nvidia/driver with bidirectional propagation."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "mount-propagation-not-shared",
    "node",
    "a mount of the node is private: mounts made in a container do not reach the host",
    signs=(
        "not a shared mount",
        "not a shared or slave mount",
        "is mounted on & not * shared",
        "mount propagation & {failing}",
    ),
    next="run `findmnt -o TARGET,PROPAGATION / /run` on the node, then `mount --make-rshared /` at boot",
)
