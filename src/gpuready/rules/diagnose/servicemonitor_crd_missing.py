"""A ServiceMonitor is to be made in a cluster that has no such kind: the Prometheus operator is not there."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "servicemonitor-crd-missing",
    "install",
    "the cluster has no ServiceMonitor kind",
    signs=(
        "no matches for kind servicemonitor",
        "no matches for kind prometheusrule",
        "no matches for kind podmonitor",
        "{service monitor} & {crd} & {absent} & !ignoring & !skipping",
        "{service monitor} & could not find the requested resource",
        "{service monitor} & {absent} & !ignoring & !skipping & !secret & !configmap",
    ),
    who=("helm", "operator", "apiserver"),
    next="install the Prometheus operator's CRDs first, or turn the monitor off"
    " (dcgmExporter.serviceMonitor.enabled=false, in the exporter's own chart serviceMonitor.enabled=false)",
)
