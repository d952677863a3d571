"""Registries count pulls of an address or an account: 429, toomanyrequests. https://docs.docker.com/docker-hub/usage/"""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "registry-rate-limited",
    "install",
    "the registry has had too many pulls from this address or account",
    signs=(
        "toomanyrequests",
        "{pulling} & 429",
        "{pulling} & too many requests",
        "{pulling} & pull rate limit",
        "reached your pull rate limit",
        "reached your unauthenticated pull rate limit",
    ),
    who=("kubelet", "runtime", "apiserver", "operator", "helm"),
    next=(
        "pull with an account: a secret of type kubernetes.io/dockerconfigjson in imagePullSecrets; or through a mirror"
        " of the registry on the nodes"
    ),
)
