"""The image's NVIDIA_REQUIRE_CUDA, or CUDA itself, asks for a newer driver; from the words nobody can tell whether
the requirement is only too strict.
"""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "cuda-driver-too-old-for-image",
    "container start",
    "the driver is older than the image's CUDA wants",
    signs=(
        "nvidia driver on your system is too old",
        "ptx was compiled with an unsupported toolchain",
        "undefined symbol nvmldevice*",
        "unsatisfied condition cuda*",
        "unsatisfied condition & cuda*",
        "{cuda driver old}",
        "requirements not met & cuda*",
        "built for nvidia driver release * or later but version * was detected",
        "requirement error & unsatisfied & !brand",
    ),
    next=(
        "compare the driver's version (nvidia-smi) with the minimum of that CUDA release, then update the driver or "
        "take an older image; where the driver fits, set NVIDIA_DISABLE_REQUIRE=true"
    ),
)
