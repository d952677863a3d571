"""MIG-GPU-<uuid>/<gi>/<ci> became MIG-<uuid> with driver R470."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "mig-uuid-format-legacy",
    "container start",
    "a MIG device is named in the old form, which this driver does not know",
    signs=(
        "mig-gpu-* & {absent}",
        "mig-gpu-* unknown device",
        "mig-gpu-* & invalid",
        "device error mig-gpu-*",
        "mig-gpu-* & {failing}",
    ),
    next=("use the identifier that `nvidia-smi -L` prints (MIG-<uuid>), and a plugin that knows it (0.9 or later)"),
)
