"""IMEX looks for itself in the list of nodes by the addresses of its interfaces."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "imex-network-config-invalid",
    "plugin",
    "the node list of IMEX has no address that this node carries",
    signs=(
        "no matching network interface found & !hazelcast",
        "nodes_config.cfg & {absent}",
        "{imex} & nodes_config* & {failing}",
        "imex & network interface & {absent}",
    ),
    next=(
        "compare ip -br address on the node with /etc/nvidia-imex/nodes_config.cfg (in a compute domain:"
        " /imexd/nodes_config.cfg and the node addresses of the API); start IMEX after the network is up"
    ),
)
