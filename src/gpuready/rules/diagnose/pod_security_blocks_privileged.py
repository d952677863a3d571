"""Pod Security Admission, or a PodSecurityPolicy of old, refuses the privileged pods of the GPU stack."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "pod-security-blocks-privileged",
    "admission",
    "the namespace's pod security refuses privileged pods",
    signs=(
        "violates podsecurity & !would violate",
        "podsecuritypolicy unable to admit pod",
        "unable to validate against any pod security policy",
        "privileged containers are not allowed & !security context constraint",
        "privileged & disallowed by cluster policy",
        "{pod security} & {denied} & privileged & !security context constraint & !would violate",
    ),
    next="label the operator's namespace pod-security.kubernetes.io/enforce=privileged (before 1.25: bind its"
    " service accounts to a privileged PodSecurityPolicy)",
)
