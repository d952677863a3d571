"""The firmware directory of that driver version is empty, or elsewhere than the kernel looks."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "gsp-firmware-missing",
    "kernel driver",
    "the driver finds no GSP firmware",
    signs=(
        "rmfetchgsprmimages",
        "no firmware image found",
        "direct firmware load for nvidia/* failed & !nouveau & !nova*",
        "direct firmware load for nvidia/* & gsp* & !nouveau & !nova*",
        "gsp_*.bin & {absent}",
        "{gsp} & firmware & {absent}",
        "gsp* & failed to load firmware & !nouveau & !nova*",
        "gsp firmware may not be found",
    ),
    next=(
        "put the firmware of that driver version into /lib/firmware/nvidia/<version>, or point"
        " firmware_class.path at it; a driver container does so at its start"
    ),
)
