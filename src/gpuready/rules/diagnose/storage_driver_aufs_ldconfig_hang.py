"""Historic: libnvidia-container runs ldconfig in the container's root, which hangs on aufs."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "storage-driver-aufs-ldconfig-hang",
    "runtime config",
    "the storage driver aufs makes ldconfig hang when a GPU container starts",
    signs=(
        "aufs & {ldconfig}",
        "aufs & {hangs}",
        "storage driver aufs & {nvidia}",
    ),
    next="move Docker to overlay2 (`storage-driver` in /etc/docker/daemon.json)",
)
