"""The worker, GFD or the master may not read or write NodeFeature objects."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "nfd-rbac-missing",
    "discovery",
    "NFD or GFD lacks a right on NodeFeature objects",
    signs=(
        "nodefeature* & forbidden & cannot * resource",
        "cannot * resource nodefeature*",
        "failed to advertise features & {denied}",
        "failed to advertise features & cannot * resource",
        "failed to advertise features & ownerref",
        "cannot set an ownerref & nodefeature*",
        "system:serviceaccount:*nfd* & cannot * resource & forbidden",
        "system:serviceaccount:*node-feature-discovery* & cannot * resource & is forbidden",
        "cannot set blockownerdeletion & nodefeature*",
    ),
    next=(
        "ask kubectl auth can-i create nodefeatures.nfd.k8s-sigs.io --as=ACCOUNT -n NAMESPACE, then apply"
        " the Role and RoleBinding of the NFD release that runs"
    ),
)
