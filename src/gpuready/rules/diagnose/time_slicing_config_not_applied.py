"""The sharing configuration is there, but not the one that the device plugin runs with."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "time-slicing-config-not-applied",
    "plugin",
    "the device plugin does not run with the sharing configuration that was meant for it",
    signs=(
        "configmap & {sharing config} & {absent}",
        "specified config * does not exist",
        "no config was set no default was provided",
        "falling back to an empty configuration",
        "updating to empty config",
        "updated to empty config",
        "no configuration files available",
        "configmap & {device plugin} & {absent}",
    ),
    who=("plugin", "discovery", "operator", "kubelet"),
    next="compare devicePlugin.config.name and .default (config.name, config.default of the plugin's own chart) and the"
    " node label nvidia.com/device-plugin.config with the ConfigMap's name and keys in the plugin's namespace",
)
