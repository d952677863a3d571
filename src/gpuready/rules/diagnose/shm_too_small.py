"""A pod's /dev/shm has 64 MiB unless a volume is mounted there, too little for data loaders and NCCL."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "shm-too-small",
    "compute",
    "the container's /dev/shm is too small",
    signs=(
        "insufficient shared memory",
        "out of shared memory & !hardware limit & !max_locks* & !out of resource",
        "raise your shared memory limit",
        "unable to allocate shared memory",
        "error while creating shared memory segment",
        "{shared memory} & no space left on device",
        "{shared memory} & bus error",
        "{shared memory} & cannot allocate memory",
        "/dev/shm has only",
        "/dev/shm & {exhausted}",
        "unexpected bus error encountered in worker",
        "unable to write to file torch_*",
    ),
    who=("workload", "workload-check"),
    next="mount a volume emptyDir {medium: Memory, sizeLimit: 8Gi} at /dev/shm of that container (its use counts as"
    " the pod's memory)",
)
