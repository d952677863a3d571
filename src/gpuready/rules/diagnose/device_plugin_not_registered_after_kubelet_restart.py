"""The kubelet was restarted, or its socket made anew, and the device plugin's registration was lost with it."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "device-plugin-not-registered-after-kubelet-restart",
    "registration",
    "the kubelet has lost the device plugin's registration",
    signs=(
        "{kubelet restart}",
        "{gpu resource} & {kubelet restart}",
        "endpoint * has been stopped",
        "endpoint * has been stopped & {gpu resource}",
        "endpoint not found in cache",
    ),
    who=("plugin", "kubelet"),
    next="compare `kubectl describe node` with the plugin's log: where nvidia.com/gpu stays 0 after the last restart,"
    " delete the plugin's pod on that node",
)
