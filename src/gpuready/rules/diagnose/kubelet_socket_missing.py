"""The kubelet's registration socket is not at the path that the device plugin has mounted."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "kubelet-socket-missing",
    "registration",
    "the kubelet's registration socket is not where the device plugin looks",
    signs=(
        "{kubelet socket} & no such file & !pod-resources",
        "{kubelet socket} & {device plugin} & no such file & !pod-resources",
        "{file watcher} & no such file & !{exhausted}",
    ),
    who=("plugin", "discovery", "dra"),
    next="look for kubelet.sock on that node (`find / -name kubelet.sock`), and mount that directory into the plugin at"
    " /var/lib/kubelet/device-plugins",
)
