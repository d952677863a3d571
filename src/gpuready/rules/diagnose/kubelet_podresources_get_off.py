"""The kubelet's feature gate for PodResources Get is off, which sandboxed runtimes need to find a pod's GPUs."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "kubelet-podresources-get-off",
    "node",
    "the kubelet does not answer PodResources Get: its feature gate is off",
    signs=(
        "podresources api get method disabled",
        "podresources* & get method disabled",
        "getpodresources failed & disabled",
        "podresources* & unknown method get",
    ),
    next="set the feature gate KubeletPodResourcesGet: true in the kubelet's configuration of that node and restart it",
)
