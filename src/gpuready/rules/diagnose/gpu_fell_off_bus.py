"""Xid 79, a probe that finds no device, or NVML that calls the GPU lost."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "gpu-fell-off-bus",
    "hardware",
    "a GPU does not answer on the bus any more",
    signs=(
        "xid * 79,",
        "xid 79",
        "eventdata 79",
        "fallen off the bus",
        "fell off the bus",
        "gpu is lost",
        "gpu_is_lost",
        "nvml_error_gpu_is_lost",
        "unable to determine the device handle for gpu* & !requires reset & !permission*",
        "nvidia & rev ff",
        "nvidia & unknown header type 7f",
        "nvidia & unable to change power state from * to d0 device inaccessible",
        "nvidia & severity=uncorrected fatal",
    ),
    next=(
        "cordon the node and reboot it; a GPU that is lost again belongs to the vendor: read `dmesg | grep"
        " -E 'Xid|AER'`"
    ),
)
