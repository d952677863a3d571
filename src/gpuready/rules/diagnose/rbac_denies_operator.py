"""Forbidden answers to the service accounts of GPU components: roles of another release, or removed ones."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "rbac-denies-operator",
    "install",
    "a GPU component lacks the right to use a resource of the API",
    signs=(
        "{gpu account} & cannot & resource & forbidden",
        "{gpu account} & cannot & resource",
        "{gpu account} & is forbidden & !podsecurity & !security context constraint",
        "is forbidden & cannot & resource & {node feature discovery} & !nodefeature*",
        "attempting to grant rbac permissions not currently held & {nvidia}",
    ),
    next=(
        "ask kubectl auth can-i VERB RESOURCE --as=ACCOUNT, then apply the ClusterRole and"
        " ClusterRoleBinding of the release that is installed"
    ),
)
