"""The guest driver's licence daemon is not installed or not started."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "vgpu-gridd-service-missing",
    "monitoring",
    "the vGPU guest has no nvidia-gridd: nothing asks for a licence",
    signs=(
        "nvidia-gridd* & {absent} & !token & !license not found",
        "unit nvidia-gridd.service & {absent}",
        "nvidia-gridd* & inactive",
        "nvidia-gridd* & {disabled}",
        "nvidia-gridd* & not running",
        "failed to start nvidia-gridd*",
        "nvidia-gridd.service & {failing}",
    ),
    next=(
        "install the vGPU (GRID) guest driver that brings nvidia-gridd, start the unit, and read"
        " `nvidia-smi -q | grep -A2 License`"
    ),
)
