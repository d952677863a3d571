"""Without the Driver Toolkit the driver is built from RHEL packages, which need an entitlement."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "openshift-entitlement-missing",
    "kernel driver",
    "the driver build has no entitlement for the RHEL repositories",
    signs=(
        "rhel entitlement may be improperly deployed",
        "unable to find a match & elfutils*",
        "no match for argument & elfutils*",
        "no package elfutils* available",
        "not registered with an entitlement server",
        "not registered to red hat subscription",
        "is not registered & subscription-manager",
        "failed to install elfutils*",
        "there are no enabled repositories in",
        "there are no enabled repos",
        "no available & {entitlement} & {absent}",
        "{entitlement} & {absent} & {failing}",
    ),
    next=(
        "first see whether the Driver Toolkit can be used (oc get imagestream driver-toolkit -n openshift);"
        " else deploy a cluster-wide entitlement, or name own repositories in driver.repoConfig.configMapName"
    ),
    because=("dtk-image-missing-for-node-os", "dtk-kernel-mismatch"),
)
