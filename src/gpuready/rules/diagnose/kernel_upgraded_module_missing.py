"""The module was built for another kernel: the machine came back with a new one."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "kernel-upgraded-module-missing",
    "kernel driver",
    "the running kernel has no nvidia module",
    signs=(
        "module nvidia not found",
        "module nvidia* not found in directory & !peermem & !nvidia-fs & !nvidia_fs & !vgpu",
        "module nvidia-current not found",
        "could not find module nvidia",
        "nvidia module & {absent} & lib/modules",
        "modinfo & module nvidia & {absent}",
        "nvidia* & version magic",
        "nvidia* & disagrees about version of symbol & !peermem",
        "could not insert nvidia* invalid module format",
        "could not insert nvidia* exec format error",
        "linux-modules-nvidia* & {absent}",
        "linux-objects-nvidia* & {absent}",
        "linux-signatures-nvidia* & {absent}",
        "kmod-nvidia* & {absent}",
        "failed to find module nvidia",
        "nvidia.ko & {absent}",
        "nvidia kernel module missing",
        "could not find suitable nvidia kernel module",
        "nvidia kernel module & {absent} & for kernel",
    ),
    because=("kernel-headers-missing", "compiler-mismatch", "driver-kernel-incompatible", "dkms-stale-state"),
    next=(
        "build or install the driver for `uname -r` (`dkms autoinstall`, or the distribution's module"
        " package), or boot the kernel before it"
    ),
)
