"""Distributions that bundle containerd (k3s, RKE2, k0s) have no such binary on the host's PATH."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "containerd-binary-not-on-host-path",
    "toolkit",
    "the toolkit asks `containerd config dump` on the host, and that command does not run there",
    signs=(
        "containerd config dump & {failing}",
        "containerd config dump & {executable absent}",
        "chroot & {executable absent} & containerd",
        "crio status config & {failing}",
        "crio config & {executable absent}",
    ),
    next=(
        "set the toolkit's env RUNTIME_CONFIG_SOURCE=file=<path of the runtime's configuration> in the operator's "
        "values"
    ),
)
