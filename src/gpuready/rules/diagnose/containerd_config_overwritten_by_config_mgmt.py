"""Ansible, kubespray and the like write config.toml from their own template."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "containerd-config-overwritten-by-config-mgmt",
    "runtime config",
    "configuration management rewrote the runtime's configuration and took the nvidia runtime out",
    signs=(
        "{config manager} & {overwritten} & {containerd config}",
        "{config manager} & {overwritten} & {runtime handler}",
        "{containerd config} & {overwritten} & playbook",
    ),
    next=(
        "restart the toolkit pod of that node (it restarts the runtime), and move the nvidia settings to a drop-in "
        "that the tool leaves alone"
    ),
)
