"""The kubelet runs with another --root-dir: its sockets are not under /var/lib/kubelet."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "kubelet-root-dir-mismatch",
    "registration",
    "the kubelet's sockets are not under /var/lib/kubelet",
    signs=(
        "pod-resources/kubelet.sock & {timeout}",
        "pod-resources/kubelet.sock & {absent}",
        "pod-resources/kubelet.sock & {refused}",
        "failure connecting to & pod-resources",
        "no kubelet socket ignoring",
        "unknown service *podresourceslister",
        "hostpath type check failed & {plugin directory}",
        "hostpath type check failed & lib/kubelet",
    ),
    who=("monitoring", "plugin", "kubelet", "discovery", "mig", "dra"),
    next="read --root-dir of the kubelet on that node, then point the hostPath volumes of exporter and plugin"
    " (kubeletPath, kubeletRootDir in their charts) to it",
)
