"""The manager of the mode waits until the VFIO manager is gone, and that one until no pod has a GPU."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "cc-mode-blocked-by-workload",
    "hardware",
    "the confidential mode cannot change: a workload still has a GPU passed through",
    signs=(
        "nvidia-vfio-manager* & terminating",
        "timeout waiting for * pods to be deleted",
        "failed to evict gpu operator components & cc",
        "cc.mode* & waiting & {in use}",
    ),
    next=(
        "find the pod that has the GPU (kubectl get pods -A -o wide --field-selector spec.nodeName=NODE),"
        " ask its owner to delete it, then set nvidia.com/cc.mode again"
    ),
)
