"""k3s, RKE2, MicroK8s and k0s write config.toml anew when they start."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "containerd-config-regenerated-on-start",
    "runtime config",
    "the runtime's configuration is generated at each start: edits in it are lost",
    signs=(
        "{bundled kubernetes} & {overwritten} & {containerd config} & !{config manager}",
        "{restart} & {overwritten} & {containerd config} & !{config manager}",
        "{containerd config} & {overwritten} & *.tmpl",
        "{regenerated} & {bundled kubernetes} & {restart} & !{config manager}",
    ),
    next=(
        "put the nvidia runtime into the template (k3s, RKE2: config.toml.tmpl or config-v3.toml.tmpl) or a drop-in, "
        "or rely on the distribution's own detection, then restart the service"
    ),
)
