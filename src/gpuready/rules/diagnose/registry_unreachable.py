"""Pulls and chart downloads that end in timeouts, refused connections or unknown hosts."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "registry-unreachable",
    "node",
    "the registry or chart repository cannot be reached from there",
    signs=(
        "{pulling} & {timeout} & !proxyconnect & !{service address}",
        "{pulling} & {refused} & !proxyconnect & !{service address}",
        "{pulling} & {unresolved} & !proxyconnect & !{service address}",
        "{pulling} & dial tcp & !proxyconnect & !{untrusted} & !{service address}",
        "{pulling} & request canceled while waiting for connection",
        "{pulling} & no such host & !proxyconnect",
        "{pulling} & gateway time-out & !method not allowed",
        "{pulling} & service unavailable",
        "{pulling} & 500 internal server error",
        "{chart repository} & {timeout} & !proxyconnect & !{untrusted}",
        "{chart repository} & dial tcp & !proxyconnect & !{untrusted}",
        "{chart repository} & {unresolved} & !proxyconnect",
    ),
    who=("kubelet", "runtime", "apiserver", "operator", "helm"),
    next=(
        "on that node try curl -v https://REGISTRY/v2/ and compare name resolution, route, firewall and the"
        " proxy of the container runtime (systemctl show containerd -p Environment)"
    ),
)
