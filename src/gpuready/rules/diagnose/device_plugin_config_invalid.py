"""The device plugin, its config manager or GFD refuse a configuration: a key or type of another release."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "device-plugin-config-invalid",
    "plugin",
    "this release of the device plugin refuses its configuration",
    signs=(
        "error parsing config file",
        "unable to parse config file",
        "{unparsable} & {plugin config key}",
        "unable to validate flags & !mps-root & !nvml-based & !mig-strategy",
        "invalid device-list-strategy option",
        "invalid devicelistStrategy",
        "invalid device-id-strategy option",
        "invalid device-discovery-strategy option",
        "invalid shared-devices-allocation-policy option",
        "unknown mig strategy",
        "invalid mig-strategy option",
        "mig-strategy mixed is not supported with mps",
        "number of replicas must be",
        "no replicas specified",
        "the only valid string input is all",
        "maximum allowed replicas exceeded",
        "unmarshallable replicatedDevices",
        "unable to load config & {failing} & !mps-root & !nvml-based & !kubeconfig",
    ),
    who=("plugin", "discovery"),
    next="compare the key named in the message with api/config/v1 of the plugin's release, correct the ConfigMap, then"
    " restart the plugin's pods",
)
