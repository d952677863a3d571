"""no runtime for "nvidia" is configured: the RuntimeClass names a handler that the node's runtime does not have."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "runtime-handler-missing",
    "runtime config",
    "the container runtime has no handler of that name",
    signs=(
        "no runtime for * is configured",
        "failed to find runtime handler",
        "failed to get sandbox runtime & {absent}",
        "runtimehandler * not supported",
        "unknown runtime type",
        "unknown runtime specified",
        "unknown or invalid runtime name",
        "invalid runtime name",
        "oci runtime nvidia* not found",
        "unable to get oci runtime for sandbox",
        "{runtime handler} & {absent} & !{cdi} & !runtimeclass * not found & !runtimeclass.node.k8s.io",
    ),
    who=(
        "kubelet",
        "runtime",
    ),
    because=(
        "containerd-binary-not-on-host-path",
        "containerd-config-overwritten-by-config-mgmt",
        "containerd-config-path-wrong",
        "containerd-config-regenerated-on-start",
        "containerd-dropin-path-not-imported",
        "containerd-imported-file-overrides-cri",
        "containerd-socket-path-wrong",
        "toolkit-dropin-version-mismatch",
        "toolkit-not-installed",
    ),
    next="write the nvidia runtime into the runtime's configuration on that node, then restart the runtime",
)
