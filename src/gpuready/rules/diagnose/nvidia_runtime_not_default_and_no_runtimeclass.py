"""runc is the default and the pod names no RuntimeClass, so neither libraries nor devices are injected.

Likely only: without a driver on the node the same is said.
"""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "nvidia-runtime-not-default-and-no-runtimeclass",
    "runtime config",
    "the container ran without the nvidia runtime: no driver files were put into it",
    signs=(
        "{nvml start} & {library absent} & !{nvidia runtime} & !run/nvidia",
        "{nvidia library} & cannot open shared object file & !{nvidia runtime} & !run/nvidia & !ld_preload",
        "{unused toolkit}",
        "{nvidia-smi} & {no executable} & !chroot",
        "{no driver seen} & !nvidia-smi has failed",
        "{cuda driver old} & {vector add}",
        "{nvml start} & error_library_not_found",
    ),
    because=(
        "driver-not-installed",
        "jetson-unsupported-by-plugin-version",
        "wsl2-unsupported-by-plugin-version",
        "runtime-handler-missing",
        "toolkit-not-installed",
        "docker-snap-confinement",
        "containerd-config-regenerated-on-start",
        "containerd-config-overwritten-by-config-mgmt",
        "crio-hooks-dir-missing",
        "driver-root-mismatch",
    ),
    next=(
        "set runtimeClassName: nvidia on that pod (device plugin: chart value runtimeClassName), or make nvidia the "
        "runtime's default"
    ),
)
