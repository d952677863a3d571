"""A private registry without TLS that the runtime was not told about."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "registry-speaks-plain-http",
    "runtime config",
    "the registry speaks plain HTTP, the runtime asks it over HTTPS",
    signs=(
        "server gave http response to https client",
        "http response to https client",
        "tls first record does not look like a tls handshake & {pulling} & !proxyconnect",
    ),
    next=(
        "give the registry TLS, or name it as plain HTTP on every node (containerd certs.d/HOST/hosts.toml"
        " with server http://, docker insecure-registries, CRI-O insecure=true), then restart the runtime"
    ),
)
