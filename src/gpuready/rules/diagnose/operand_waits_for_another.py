"""Init containers of the GPU Operator wait for what comes before them: driver, toolkit, plugin."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "operand-waits-for-another",
    "allocatable",
    "parts of the GPU Operator wait for an earlier one",
    signs=("{waiting for operand}", "{gpu component} & {init waiting}"),
    who=("driver", "toolkit", "plugin", "discovery", "monitoring", "mig", "operator", "dra", "vgpu", "workload-check"),
    symptom=True,
    next="mend the first that is not ready, in this order: nvidia-driver-daemonset (`kubectl logs -c"
    " nvidia-driver-ctr`), nvidia-container-toolkit-daemonset, nvidia-operator-validator (each init container),"
    " nvidia-device-plugin-daemonset",
)
