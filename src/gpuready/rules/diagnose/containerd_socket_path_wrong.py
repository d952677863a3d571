"""The toolkit restarts or signals containerd through a socket; bundled containerds have it elsewhere."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "containerd-socket-path-wrong",
    "toolkit",
    "the toolkit looks for the runtime's socket where there is none",
    signs=(
        "{signal runtime} & {absent}",
        "runtime/sock-dir/* & {absent}",
        "{runtime socket} & {absent} & attempt",
        "hostpath type check failed & {runtime socket}",
    ),
    who=(
        "toolkit",
        "operator",
        "kubelet",
    ),
    next=(
        "set CONTAINERD_SOCKET of the toolkit to the kubelet's runtime endpoint (k3s, RKE2: "
        "/run/k3s/containerd/containerd.sock)"
    ),
)
