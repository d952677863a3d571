"""The operator picks the Driver Toolkit by NFD's label of the OS build."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "nfd-labels-stale",
    "discovery",
    "the OS label that NFD gave the node is absent or of an earlier release",
    signs=(
        "node doesn't have the proper nfd rhcos version label",
        "*nfdtooold",
        "could not find nfd label for node & ostree",
        "nfd & rhcos version label & {absent}",
    ),
    next=(
        "compare feature.node.kubernetes.io/system-os_release.OSTREE_VERSION of the node with its osImage;"
        " delete the NFD worker pod on that node, and update the NFD operator where the label does not come"
    ),
)
