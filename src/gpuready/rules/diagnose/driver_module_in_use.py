"""A client holds the device, so the module's use count stays above zero."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-module-in-use",
    "kernel driver",
    "the old driver cannot be unloaded: something uses it",
    signs=(
        "could not unload nvidia driver kernel modules",
        "module nvidia* is in use",
        "rmmod & nvidia* & {in use}",
        "modprobe & nvidia* & {in use}",
        "{nvidia module} & {in use} & !kernel driver in use & !nouveau & !mig & !persistence mode",
        "nvidia kernel module & already be loaded in your kernel",
        "unable to unload & nvidia*",
        "failed to unload kernel module nvidia*",
        "failed to unload & nvidia*",
        "{unload} & {nvidia module} & {failing}",
        "failed to unload driver & {in use}",
        "nvidia & driver is in use",
    ),
    because=("kernel-module-wedged", "host-driver-preinstalled-conflict", "driver-upgrade-drain-blocked"),
    next=(
        "find the clients on the node (`lsof /dev/nvidia*`, DCGM, X, persistenced, pods without a GPU"
        " request), stop them, then restart the driver pod"
    ),
)
