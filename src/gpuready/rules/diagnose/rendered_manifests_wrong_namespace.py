"""Rendered manifests without a namespace put the account into default, while the binding names another one."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "rendered-manifests-wrong-namespace",
    "install",
    "the operator runs with a service account of another namespace than its role binding names",
    signs=(
        "system:serviceaccount:default:gpu-operator & cannot",
        "system:serviceaccount:default:gpu-operator & forbidden",
        "system:serviceaccount:default:gpu-operator & cannot & resource & forbidden",
        "system:serviceaccount:default:*node-feature-discovery* & cannot & resource & forbidden",
        "system:serviceaccount:default:nvidia-* & cannot & resource & forbidden",
    ),
    next=(
        "render again with helm template --namespace gpu-operator and apply with kubectl apply -n"
        " gpu-operator, then delete what lies in default"
    ),
)
