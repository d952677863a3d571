"""The kubelet's topology policy wants all GPUs of a pod on one NUMA node, and none has as many free."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "numa-topology-fragmentation",
    "admission",
    "no NUMA node has enough free GPUs for the kubelet's topology policy",
    signs=(
        "topology-affinity-error",
        "resources cannot be allocated with topology locality",
        "cannot align pod",
        "cannot align container",
        "cannot align init container",
    ),
    next="compare topologyManagerPolicy of the kubelet with where the free GPUs sit (`nvidia-smi topo -m`); end"
    " pods so that one NUMA node has enough, or relax the policy",
)
