"""index.yaml of the documented address answers 401 or 5xx, or with an error of its own server."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "helm-repo-outage",
    "install",
    "the chart repository is down: it answers a right address with an error",
    signs=(
        "index.yaml & connection pool shut down",
        "{chart repository} & connection pool shut down",
        "index.yaml & 500 internal server error",
        "index.yaml & 502 bad gateway",
        "index.yaml & 503 service unavailable",
        "index.yaml & 504 gateway",
        "index.yaml & internal server error",
        "https://helm.ngc.nvidia.com/nvidia/index.yaml & {unauthorized}",
        "https://helm.ngc.nvidia.com/nvidia & {unauthorized} & chart repository",
        "https://nvidia.github.io/*/index.yaml & {unauthorized}",
        "{chart repository} & service unavailable",
        "{chart repository} & bad gateway",
    ),
    next=(
        "try the same address from another network; where it fails too, wait, or install from a downloaded"
        " chart (helm install NAME ./gpu-operator-VERSION.tgz)"
    ),
)
