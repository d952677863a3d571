"""A process or nvidia_drm holds the device open."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "mig-reset-blocked-by-gpu-client",
    "hardware",
    "the GPU cannot be reset for its new MIG mode: something uses it",
    signs=(
        "in use by another client",
        "error resetting all gpus",
        "error resetting gpu*",
        "error issuing gpu reset",
        "currently being used by one or more other processes",
        "mig & reset & {in use}",
        "gpu reset & {in use}",
        "unable to reset gpu* & {in use}",
        "error setting mig mode & {in use}",
        "mig mode & {in use}",
        "failed to set mig mode & {in use}",
        "mig & in use by",
    ),
    next=(
        "find what holds /dev/nvidia* on the node (`lsof`, dcgm, persistenced, `lsmod | grep nvidia_drm`),"
        " stop it, then set the label nvidia.com/mig.config anew"
    ),
)
