"""Container toolkit 1.18.0 wrote to /etc/containerd/config.d; containerd's own default is conf.d."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "containerd-dropin-path-not-imported",
    "runtime config",
    "the nvidia drop-in was written to a directory that the runtime may not import",
    signs=(
        "{config written} & {odd drop-in}",
        "{odd drop-in} & not imported",
        "{odd drop-in} & {ignored}",
        "{drop-in} & {not imported}",
    ),
    next=(
        "see whether `imports` in /etc/containerd/config.toml covers that path; else move the file to "
        "/etc/containerd/conf.d or add the path, then restart containerd"
    ),
)
