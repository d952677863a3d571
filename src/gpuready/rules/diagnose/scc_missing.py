"""No SecurityContextConstraints that the pod's service account may use fits the pod."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "scc-missing",
    "admission",
    "the service account may use no SecurityContextConstraints that fits the pod",
    signs=(
        "unable to validate against any security context constraint",
        "not usable by user or serviceaccount",
        "securitycontextconstraints & {denied} & !not allowed to list",
    ),
    next="bind the pod's service account to a fitting SCC (`oc adm policy add-scc-to-user privileged -z <account>"
    " -n <namespace>`), or reinstall by the certified operator, which brings its own",
)
