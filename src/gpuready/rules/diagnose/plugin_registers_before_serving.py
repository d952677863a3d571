"""The kubelet dials a plugin back while it registers, and this plugin does not serve yet."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "plugin-registers-before-serving",
    "registration",
    "the kubelet cannot dial back the plugin that registers with it",
    signs=(
        "failed to dial device plugin",
        "dial device plugin & {timeout}",
        "unable to connect to device plugin client",
        "failed to create connection & {device plugin}",
        "{device plugin} & dial & {timeout} & !kubelet.sock & !pod-resources",
    ),
    who=("kubelet", "plugin"),
    next="update the plugin to a release that serves its socket before it registers (kubelets from 1.25 dial back"
    " at once)",
)
