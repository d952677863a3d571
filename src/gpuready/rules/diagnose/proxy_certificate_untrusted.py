"""x509 through a proxy that opens TLS, while the driver container downloads packages."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "proxy-certificate-untrusted",
    "node",
    "packages cannot be downloaded: the certificate of the proxy or mirror is not trusted",
    signs=(
        "{package mirror} & {untrusted} & !{pulling} & !{chart repository} & !not yet valid",
        "could not handshake & certificate",
        "curl error 60",
        "curl 60 & certificate",
        "server certificate verification failed",
        "proxyconnect tcp & x509",
        "proxyconnect tcp & {untrusted}",
        "cannot verify * certificate & {package mirror}",
        "certificate verification failed & {untrusted}",
        "ssl certificate problem",
    ),
    who=("driver", "runtime", "kubelet", "operator"),
    next=(
        "put the CA of the proxy into a ConfigMap and name it in driver.certConfig.name (on a host: add it"
        " to the trust store), then delete the driver pod"
    ),
)
