"""The driver was upgraded and the old module is still in the kernel, or the libraries come from elsewhere."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-library-mismatch-said",
    "kernel driver",
    "the loaded module and the driver's libraries are of different versions",
    signs=(
        "driver library version mismatch",
        "api mismatch & nvrm",
        "nvrm api mismatch",
        "nvml library version",
        "kernel module has the version",
        "nvrm & has the version",
        "this kernel module has the version",
        "cuda_error_system_driver_mismatch",
        "unsupported display driver cuda driver combination",
        "cudaerrorsystemdrivermismatch",
        "nvml_error_lib_rm_version_mismatch",
        "nvidia-modeset & version mismatch",
        "nvidia.ko & version mismatch",
        "{nvml} & version mismatch",
        "driver & lib* & version & {mismatch} & {nvml}",
        "nvidia-smi & driver version & nvml & {mismatch}",
    ),
    next=(
        "compare /proc/driver/nvidia/version with the libraries' version; drain the node and reboot it, so"
        " that the new module is loaded"
    ),
)
