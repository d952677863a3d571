"""OLM wants exactly one OperatorGroup in a namespace."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "olm-multiple-operatorgroups",
    "install",
    "the namespace has several OperatorGroups, so OLM installs nothing",
    signs=(
        "multiple operatorgroups",
        "toomanyoperatorgroups",
        "multipleoperatorgroupsfound",
        "found multiple operatorgroup*",
        "more than one operatorgroup*",
        "operatorgroup* & pick one automatically",
    ),
    next=(
        "list them (oc get operatorgroup -n NAMESPACE) and delete all but the one whose targets the operator supports"
    ),
)
