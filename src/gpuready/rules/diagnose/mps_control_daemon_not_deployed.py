"""MPS sharing is configured, but its control daemon is not there: only the plugin's Helm chart brings it."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "mps-control-daemon-not-deployed",
    "plugin",
    "MPS sharing is configured, and no MPS control daemon answers the device plugin",
    signs=(
        "using mps requires mps-root",
        "mps-root to be specified",
        "error waiting for mps daemon",
        "mps daemon health & {failing}",
        "{mps} & daemon & {absent} & {device plugin}",
        "{mps} & control pipe & {absent}",
    ),
    who=("plugin",),
    next="deploy the plugin by its Helm chart, which brings the DaemonSet nvidia-device-plugin-mps-control-daemon;"
    " where it is there, read that pod's log and whether its node has the label nvidia.com/mps.capable=true",
)
