"""Helm adopts nothing that carries no labels of this release."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "helm-resource-not-owned",
    "install",
    "an object of the chart is there already and belongs to no release or to another one",
    signs=(
        "invalid ownership metadata",
        "cannot be imported into the current release",
        "rendered manifests contain a resource that already exists",
        "rendered manifests contain a new resource that already exists",
        "annotation validation error & meta.helm.sh*",
        "missing key app.kubernetes.io/managed-by",
        "{chart repository} & cannot re-use a name that is still in use",
        "cannot re-use a name that is still in use",
    ),
    next=(
        "see who made it (kubectl get KIND NAME -o yaml); delete the leftover, or label it"
        " app.kubernetes.io/managed-by=Helm and annotate meta.helm.sh/release-name and release-namespace"
    ),
)
