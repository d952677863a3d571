"""Nobody has loaded nvidia-uvm and made its nodes since the machine started."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "uvm-device-nodes-missing",
    "kernel driver",
    "the device nodes of nvidia-uvm are not there",
    signs=(
        "dev/nvidia-uvm* & {absent}",
        "dev/nvidia-modeset & {absent}",
        "initialization error cuda error unknown error",
        "initialization error cuda error & {failing}",
        "nvidia-uvm & {absent} & dev",
        "nvidia-uvm & device node* & {failing}",
        "dev/nvidia-uvm* & {failing} & !peermem",
        "nvidia-uvm & not .. loaded",
        "could not load uvm kernel module",
        "uvm & {load module} & {failing} & !wedged",
        "load uvm & {failing}",
        "failed to create device node nvidia-uvm*",
    ),
    because=(
        "driver-not-loaded",
        "kernel-upgraded-module-missing",
        "driver-not-installed",
        "driver-library-mismatch-said",
        "kernel-module-wedged",
    ),
    next=(
        "load the module and make its nodes: `nvidia-modprobe -u -c=0` (or `nvidia-ctk system"
        " create-device-nodes --load-kernel-modules --control-devices`)"
    ),
)
