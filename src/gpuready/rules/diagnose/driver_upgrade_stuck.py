"""The upgrade controller leaves a node that failed alone until its label is set again."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "driver-upgrade-stuck",
    "kernel driver",
    "the driver upgrade of a node failed and waits for somebody",
    signs=(
        "gpu-driver-upgrade-state & upgrade-failed",
        "upgrade-failed & ready & !error",
        "driver pod is failing & repeated restarts",
        "gpu-driver-upgrade-state & failed",
        "gpudriverupgrade & {failing}",
        "failed to restart driver pod",
    ),
    next=(
        "read the log of the driver pod on that node, mend that, then set"
        " nvidia.com/gpu-driver-upgrade-state=upgrade-required on the node"
    ),
    symptom=True,
    because=("driver-upgrade-drain-blocked", "driver-image-not-published-for-os", "image-cannot-be-pulled"),
)
