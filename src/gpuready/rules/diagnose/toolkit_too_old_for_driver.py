"""The driver's entry in /proc/devices was renamed from nvidia-frontend to nvidia."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "toolkit-too-old-for-driver",
    "toolkit",
    "the container toolkit is older than the driver and does not know its device names",
    signs=(
        "failed to determine major & invalid device node",
        "failed to determine major",
        "invalid device node & {nvidia}",
        "missing required device major",
    ),
    next=(
        "update nvidia-container-toolkit (with the operator: toolkit.version) to a release that knows the driver's "
        "branch"
    ),
)
