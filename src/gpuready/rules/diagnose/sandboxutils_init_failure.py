"""One base image had a libnvidia-sandboxutils that failed before NVML was asked. A warning that ends in `ignoring`
is harmless.
"""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "sandboxutils-init-failure",
    "libraries",
    "libnvidia-sandboxutils does not start, although the driver may work",
    signs=(
        "error_nvml_lib_call",
        "*sandboxutils* & {failing} & !ignoring",
    ),
    next="run nvidia-smi on the node: where it works, go back to the previous node image or driver build",
)
