"""containerd refuses a drop-in of a higher version than its root file, and reads plugin names by the version."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "toolkit-dropin-version-mismatch",
    "runtime config",
    "the nvidia part of containerd's configuration is in another format version than the rest",
    signs=(
        "higher than root config version",
        "drop-in config version",
        "expected containerd config version",
        "unsupported config version",
        "{containerd config} & version & {mismatch}",
        "{drop-in} & version & {mismatch}",
        "container.runtime.name must be set",
        "invalid plugin config & {containerd config}",
        "containerd & config version & {denied}",
    ),
    next=(
        "compare `version` of /etc/containerd/config.toml with that of the nvidia drop-in; set "
        "RUNTIME_CONFIG_SOURCE=file on the toolkit, remove the drop-in and restart containerd"
    ),
)
