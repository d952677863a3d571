"""The kubelet admitted a pod, mostly after a reboot, while no device plugin had registered healthy GPUs."""

from gpuready.rules.diagnose._refused import without_past
from gpuready.rules.diagnose._said import said_rule

RULE = without_past(
    said_rule(
        "pod-admitted-before-plugin-registered",
        "registration",
        "the pod was admitted while the kubelet knew no healthy GPU",
        signs=(
            "no healthy devices present",
            "cannot allocate unhealthy devices",
            "can't allocate unregistered device",
            "cannot allocate unregistered device",
            "previously allocated devices are no longer healthy",
        ),
        who=("kubelet",),
        symptom=True,
        next="where the node offers nvidia.com/gpu by now (`kubectl describe node`), delete the refused pod, and create"
        " it again if no controller does; else read why its GPUs are not healthy",
    )
)
