"""RmInitAdapter fails or nvidia-smi finds no devices; the reason stands in the lines before."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "gpu-not-initialised",
    "kernel driver",
    "the driver is loaded and cannot bring a GPU up",
    signs=(
        "rminitadapter failed",
        "rm_init_adapter failed",
        "rm_init_adapter() failed",
        "no devices were found & !cuda",
        "nvidia probe routine failed for",
        "none of the nvidia devices were initialized",
        "none of the nvidia graphics adapters were initialized",
        "nvrm & failed to initialize & gpu",
        "nvrm & cannot be initialized",
    ),
    symptom=True,
    because=(
        "nouveau-loaded",
        "nova-core-loaded",
        "driver-branch-too-old-for-gpu",
        "driver-branch-too-new-for-gpu",
        "open-kernel-module-required",
        "open-kernel-module-unsupported-gpu",
        "gsp-firmware-missing",
        "gsp-firmware-fault",
        "driver-library-mismatch-said",
        "kernel-module-wedged",
    ),
    next=(
        "read what NVRM says before that line: `dmesg | grep -B5 -e RmInitAdapter -e 'probe routine'`; its"
        " three numbers tell the stage"
    ),
)
