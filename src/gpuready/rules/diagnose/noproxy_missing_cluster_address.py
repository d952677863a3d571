"""Proxy variables reach operands, and calls to the API or to services go to the proxy."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "noproxy-missing-cluster-address",
    "node",
    "traffic inside the cluster is sent to the proxy: NO_PROXY lacks its addresses",
    signs=(
        "{service address} & proxyconnect",
        "{service address} & from proxy",
        (
            "get https & {service address} & {proxy status} & !is forbidden & !cannot & !serviceaccount &"
            " !reason for failure"
        ),
        "{service address} & {proxy} & {failing}",
        "squid & {service address}",
    ),
    next=(
        "add the service and pod networks, .svc, .cluster.local, the node addresses and the API host to"
        " NO_PROXY and no_proxy (driver.env, or the cluster Proxy object)"
    ),
)
