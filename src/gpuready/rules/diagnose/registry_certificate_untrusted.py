"""x509 while pulling: a private CA, a self-signed certificate, or one for another name."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "registry-certificate-untrusted",
    "node",
    "the node does not trust the certificate of the registry",
    signs=(
        "{pulling} & x509 & !proxyconnect & !is not yet valid & !is before",
        "{pulling} & {untrusted} & !proxyconnect & !is not yet valid & !is before",
        "{chart repository} & {untrusted} & !proxyconnect & !is before",
        "{pulling} & certificate signed by unknown authority & !proxyconnect",
        "{pulling} & certificate is valid for",
        "{pulling} & certificate has expired or is not yet valid & is after",
    ),
    who=("kubelet", "runtime", "apiserver", "operator", "helm"),
    next=(
        "put the CA of the registry where the runtime looks (/etc/containerd/certs.d/HOST/hosts.toml,"
        " /etc/containers/certs.d/HOST, /etc/docker/certs.d/HOST) and into the trust store of the node"
    ),
)
