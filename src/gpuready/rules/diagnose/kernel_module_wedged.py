"""It can be neither removed nor loaded again before a reboot."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "kernel-module-wedged",
    "kernel driver",
    "a module of the driver hangs while it is unloaded or loaded",
    signs=(
        "uvm_global_exit",
        "nvidia* & unloading 0x*",
        "task modprobe* blocked for more than",
        "task rmmod* blocked for more than",
        "task nvidia* blocked for more than",
        "module nvidia* is being removed",
        "nvidia* & module is being unloaded",
        "nv_drv_deinit*",
        "delete_module & nvidia",
        "unloading * nvidia* & blocked",
        "kernel bug at & nvidia*",
        "could not insert nvidia* device or resource busy",
        "nvidia* & waiting for module to unload",
    ),
    next="reboot the node: a module that hangs in its exit path cannot be freed otherwise",
)
