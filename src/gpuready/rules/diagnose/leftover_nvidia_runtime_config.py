"""After removal of driver or toolkit the default runtime stayed nvidia: then containers that need no GPU fail as
well.
"""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "leftover-nvidia-runtime-config",
    "runtime config",
    "the runtime still uses the nvidia runtime, whose files or driver are gone",
    signs=(
        "usr/local/nvidia/toolkit/* & {executable absent}",
        "{nvidia runtime} & {driver does not answer}",
        "usr/local/nvidia/toolkit/* & {absent}",
    ),
    because=("driver-root-mismatch",),
    next=(
        "restore the runtime's configuration on that node (default runtime runc, no nvidia handler) and restart it, "
        "or install driver and toolkit again"
    ),
)
