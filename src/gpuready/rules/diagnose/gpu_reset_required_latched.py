"""The driver's recovery action stays until the GPU is reset, whatever the counters say."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "gpu-reset-required-latched",
    "hardware",
    "a GPU waits for a reset",
    signs=(
        "gpu recovery action reset",
        "gpu recovery action gpu reset",
        "gpu recovery action reboot",
        "gpu recovery action drain",
        "gpu recovery action changed .. required",
        "reset required yes",
        "drain and reset recommended yes",
        "gpu requires reset",
        "gpu & reset required & !reset required no & !reset required n/a",
        "gpu_reset_required",
        "nvml_error_reset_required",
        "device requires reset",
    ),
    because=("gpu-fell-off-bus", "ecc-uncorrectable", "row-remap-pending", "gsp-firmware-fault"),
    next=("drain the GPU's pods, then reset it (`nvidia-smi -r -i <gpu>`) or reboot the node if the action says so"),
)
