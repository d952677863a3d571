"""A regression of CRI-O 1.25 and 1.26."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "crio-version-bug",
    "runtime config",
    "this CRI-O release fails to mount the host's subscriptions",
    signs=(
        "failed to mount subscriptions",
        "{crio} & subscriptions & {failing}",
        "saving data to container filesystem & {failing}",
    ),
    next="read `crio --version` on the node, and update CRI-O to the fixed build of its stream",
)
