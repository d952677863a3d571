"""Whatever asks for HTTPS through a proxy that refuses, wants a password or cannot CONNECT."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "proxy-misconfigured",
    "node",
    "the proxy that the runtime was told of does not work for this",
    signs=(
        "proxyconnect tcp & !x509 & !certificate & !{service address}",
        "{pulling} & method not allowed & !is forbidden",
        "{pulling} & proxy authentication required",
        "from proxy after connect",
        "{pulling} & bad gateway",
        "could not resolve proxy",
        "407 proxy authentication required",
        "failed to connect to proxy",
        "invalid proxy & url",
        "proxy connect aborted",
        "unable to connect to proxy",
        "cannot connect to proxy",
        "could not connect to * proxy",
        "could not handshake & !certificate & !{pulling}",
        "tls connection was non-properly terminated",
    ),
    next=(
        "show the proxy that is set (systemctl show containerd crio docker -p Environment; driver.env), try"
        " curl -x PROXY https://REGISTRY/v2/ from that node, then correct HTTPS_PROXY or NO_PROXY and"
        " restart the runtime"
    ),
)
