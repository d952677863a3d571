"""Written from `containerd config dump`, the drop-in carries containerd's default CNI directory."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "toolkit-rewrites-cni-path",
    "runtime config",
    "the toolkit's configuration of containerd looks for CNI plugins where this platform has none",
    signs=(
        "failed to find plugin gke in path",
        "{cni plugin absent} & {nvidia}",
        "{cni plugin absent} & !flannel & !calico & !loopback & !cilium* & !weave* & !bridge & !openshift-sdn",
        "bin_dir & {overwritten}",
    ),
    next=(
        "set bin_dir of the containerd configuration back to where the platform's plugins are, and "
        "RUNTIME_CONFIG_SOURCE=file on the toolkit"
    ),
)
