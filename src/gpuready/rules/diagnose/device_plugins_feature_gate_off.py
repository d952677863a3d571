"""Nothing answers the device plugin's registration: before Kubernetes 1.10 the feature gate DevicePlugins was off."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "device-plugins-feature-gate-off",
    "registration",
    "the kubelet does not answer the device plugin's registration",
    signs=(
        "could not register device plugin & {timeout} & !dial",
        "{device plugin} & register & {timeout} & !dial",
        "{feature gate hint}",
        "could not start device plugin & {timeout} & !dial",
        "unknown service *registration",
        "deviceplugins & feature gate & {failing}",
    ),
    who=("plugin", "kubelet"),
    because=("kubelet-socket-missing", "kubelet-in-container-missing-mount"),
    next="read the version and --feature-gates of the kubelet on that node (DevicePlugins has to be on before"
    " 1.10), and whether its --root-dir is /var/lib/kubelet",
)
