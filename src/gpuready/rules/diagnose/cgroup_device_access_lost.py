"""systemd writes the device rules of a container anew (daemon-reload) and knows nothing of the GPU that a hook had
let in.

The words are only likely to mean this: an unlicensed vGPU says the same.
"""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "cgroup-device-access-lost",
    "runtime config",
    "a running container lost its GPU: its device cgroup was rewritten",
    signs=(
        "{nvml} & {unknown error} & !{lost} & !nvidia-container-cli & !timeout & !handle",
        "daemon-reload & {loses} {access to gpus}",
        "daemon-reload & {nvml}",
        "daemon-reload & {access to gpus}",
        "{loses} {access to gpus}",
    ),
    because=(
        "vgpu-unlicensed",
        "vgpu-gridd-service-missing",
        "gpu-fell-off-bus",
        "no-cgroups-set-for-rootful-runtime",
        "selinux-denies-gpu",
        "rootless-cannot-edit-device-cgroup",
    ),
    next=(
        "recreate the pod with its owner's consent; for good, have GPUs injected by CDI (operator: cdi.enabled=true) "
        "or set PASS_DEVICE_SPECS=true on the device plugin"
    ),
)
