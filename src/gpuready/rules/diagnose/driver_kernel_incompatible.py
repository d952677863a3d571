"""An older driver release and a newer kernel: the interfaces changed."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-kernel-incompatible",
    "kernel driver",
    "the driver's sources do not build against the kernel that runs",
    signs=(
        "modpost & gpl-incompatible module",
        "gpl-incompatible module nvidia* uses gpl-only symbol",
        "modpost & nvidia* & undefined",
        "nv* & {uncompilable}",
        "nv* & error & {uncompilable}",
        "{driver build failed}",
        "{driver build failed} & {nvidia}",
        "nvidia unknown symbol",
        "nvidia_drm unknown symbol",
        "nvidia_modeset unknown symbol",
        "nvidia_uvm unknown symbol",
        "nvidia.ko unknown symbol",
        "could not insert nvidia* unknown symbol",
        "could not insert ipmi* invalid argument",
        "could not insert ipmi* & {failing}",
        "nvidia kernel module & unknown symbol",
    ),
    because=("kernel-headers-missing", "compiler-mismatch", "dkms-stale-state"),
    next=(
        "use a driver release that knows this kernel, or boot the kernel before it; the first 'error:' of"
        " the build's log tells which interface"
    ),
)
