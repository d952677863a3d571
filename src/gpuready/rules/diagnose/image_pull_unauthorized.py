"""Pulls that end in 401, 403 or denied: the image needs a login that the node does not have."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "image-pull-unauthorized",
    "install",
    "the registry refuses the pull: no valid login for this image",
    signs=(
        (
            "{pulling} & {unauthorized} & !index.yaml & !{timeout} & !{refused} & !{unresolved} & !{untrusted} &"
            " !proxyconnect"
        ),
        (
            "{pulling} & 401 unauthorized & !index.yaml & !{timeout} & !{refused} & !{unresolved} & !{untrusted}"
            " & !proxyconnect"
        ),
        (
            "{pulling} & 403 forbidden & !index.yaml & !{timeout} & !{refused} & !{unresolved} & !{untrusted} &"
            " !proxyconnect"
        ),
        (
            "{pulling} & authentication required & !index.yaml & !{timeout} & !{refused} & !{unresolved} &"
            " !{untrusted} & !proxyconnect"
        ),
        "{pulling} & invalid username password",
        (
            "failed to authorize & {unauthorized} & 401 & !{timeout} & !{refused} & !{unresolved} & !{untrusted}"
            " & !proxyconnect"
        ),
        "pull access denied",
        "insufficient_scope & authorization failed",
        "requested access to the resource is denied",
        "unauthorized authentication required & !index.yaml",
        "no basic auth credentials",
        "{pull secret absent}",
    ),
    who=("kubelet", "runtime", "apiserver", "operator", "helm"),
    next=(
        "check that the pull secret is of type kubernetes.io/dockerconfigjson, lies in the namespace of the"
        " pod, names this registry host and stands in imagePullSecrets"
    ),
)
