"""GFD hands its labels to NFD, which drops namespaces that it was not told of."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "nfd-label-namespace-denied",
    "discovery",
    "NFD does not allow labels of the namespace nvidia.com",
    signs=(
        "namespace nvidia.com is not allowed",
        "{node feature discovery} & namespace * is not allowed",
        "ignoring label & namespace & not allowed",
        "label & nvidia.com* & namespace is not allowed",
        "label & err namespace * is not allowed",
        "extra-label-ns & {denied}",
    ),
    next=(
        "start nfd-master with --extra-label-ns=nvidia.com (values: master.extraLabelNs, and nothing that"
        " bars it in denyLabelNs), then restart it"
    ),
)
