"""A socket file without a kubelet behind it: the kubelet runs in a container without that directory, or is down."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "kubelet-in-container-missing-mount",
    "registration",
    "no kubelet listens on the registration socket that the device plugin sees",
    signs=(
        "{kubelet socket} & {refused} & !no such file & !permission denied & !pod-resources & !{timeout}",
        "{kubelet socket} & {device plugin} & {refused} & !no such file & !permission denied & !{timeout}",
    ),
    who=("plugin", "discovery"),
    next="where the kubelet runs in a container, mount /var/lib/kubelet/device-plugins of the host into it; else"
    " restart the kubelet of that node",
)
