"""Workers before 0.14 send labels to the master by gRPC; DNS, Service and network must carry that."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "nfd-master-unreachable",
    "discovery",
    "the NFD worker cannot reach the NFD master, so the node gets no labels",
    signs=(
        "node-feature-discovery-master & {unresolved}",
        "node-feature-discovery-master & {refused}",
        "node-feature-discovery-master & {timeout}",
        "nfd-master & {unresolved}",
        "nfd-master & {refused}",
        "nfd-master & {timeout} & !leader",
        "node-feature-discovery-master* & dial tcp",
        "nfd-master* & dial tcp",
        "failed to connect to nfd-master",
        "addrconn createtransport failed to connect & *feature-discovery*",
        "setlabels & rpc error",
        "labeling request failed",
        "failed to advertise labels & rpc error",
    ),
    next=(
        "see that the Service of nfd-master has endpoints (kubectl get endpoints -n gpu-operator) and that"
        " the cluster DNS answers from that node"
    ),
)
