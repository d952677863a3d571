"""accept-nvidia-visible-devices-envvar-when-unprivileged is false, and the image (as those of NGC) sets
NVIDIA_VISIBLE_DEVICES.
"""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "envvar-device-list-denied",
    "container start",
    "the image asks for GPUs by environment variable, which this pod may not",
    signs=(
        "insufficient privileges to read device list",
        "visible-devices-envvar* & {denied}",
        "accept-nvidia-visible-devices-envvar* & {denied}",
    ),
    next=(
        "set NVIDIA_VISIBLE_DEVICES=void in containers that use no GPU; in those that do, set a limit on nvidia.com/gpu"
    ),
)
