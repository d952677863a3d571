"""The scheduler chose a node, and the kubelet there could not give the pod its devices."""

from gpuready.rules.diagnose._refused import without_past
from gpuready.rules.diagnose._said import said_rule

RULE = without_past(
    said_rule(
        "pod-refused-by-kubelet",
        "admission",
        "the kubelet could not give the pod its devices",
        signs=("{cannot allocate to pod}", "{gpu resource} & {cannot allocate to pod}"),
        symptom=True,
        because=("numa-topology-fragmentation", "shared-gpu-multi-request"),
        next="read the Message of the refused pod (`kubectl describe pod`) and the device plugin's log on that node;"
        " then delete the pod and create it again, since the kubelet does not try again",
    )
)
