"""CONTAINERD_CONFIG names a Go template or another file than the runtime reads."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "containerd-config-path-wrong",
    "toolkit",
    "the toolkit was given a file that is not the runtime's TOML configuration",
    signs=(
        "unexpected token type in inline table",
        "unable to load config & {unparsable}",
        "unable to load containerd config & {unparsable}",
        "failed to load config & {unparsable} & toml",
        "*.toml.tmpl & {unparsable}",
        "*.toml.tmpl & unable to load",
        "unable to load config & inline table",
        "unable to load config & unexpected",
        "unable to load config & is a directory",
    ),
    who=(
        "toolkit",
        "operator",
    ),
    next=(
        "point CONTAINERD_CONFIG of the toolkit at the file that the runtime reads (k3s, RKE2: "
        "/var/lib/rancher/<name>/agent/etc/containerd/config.toml), never at a template with {{ }}"
    ),
)
