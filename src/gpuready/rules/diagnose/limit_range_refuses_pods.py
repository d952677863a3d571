"""A LimitRange of the namespace bounds what a container may ask for, and the pods ask for more, or for nothing.

LimitRanger refuses the pod at the API server: there is no pod then, only an event of what would have created it. A
LimitRange with a `max` or `min` for GPUs refuses also containers that name no GPU at all, such as sidecars.
https://kubernetes.io/docs/concepts/policy/limit-range/
"""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "limit-range-refuses-pods",
    "admission",
    "a LimitRange of the namespace does not let the pods be created",
    signs=(
        "maximum * usage per container is & but limit is",
        "maximum * usage per container is & but request is",
        "maximum * usage per container is & no limit is specified",
        "maximum * usage per pod is & {denied}",
        "minimum * usage per container is & but request is",
        "minimum * usage per container is & no request is specified",
        "minimum * usage per pod is & {denied}",
        "maximum {gpu resource} usage per container",
        "maximum {gpu resource} usage per pod",
        "minimum {gpu resource} usage per container",
        "minimum {gpu resource} usage per pod",
        "max limit to request ratio per & provided ratio is",
    ),
    who=("apiserver", "operator", "helm", "kubelet"),
    next="read `kubectl get limitrange -n NAMESPACE -o yaml`, then ask for no more than its max and no less than its"
    " min, or have that bound changed",
)
