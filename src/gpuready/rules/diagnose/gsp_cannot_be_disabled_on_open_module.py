"""Only the proprietary modules can do without GSP firmware."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "gsp-cannot-be-disabled-on-open-module",
    "kernel driver",
    "GSP is turned off by an option that the open modules ignore",
    signs=(
        "{gsp off}",
        "{gsp off} & {open module}",
    ),
    because=("gsp-firmware-fault",),
    next=(
        "read `modinfo -F license nvidia`: with 'Dual MIT/GPL' take the option away, or install the"
        " proprietary modules if the GPU allows them"
    ),
)
