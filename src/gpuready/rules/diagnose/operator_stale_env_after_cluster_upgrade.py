"""Operators before 1.7 did not refresh RHEL_VERSION in DaemonSets that were there already."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "operator-stale-env-after-cluster-upgrade",
    "kernel driver",
    "the driver container asks the repositories of an older RHEL release than its node runs",
    signs=(
        "releasever=8.1 & *.el8_* & !*.el8_1* & !*.el8.x86_64 & !*.el8.noarch",
        "releasever=8.2 & *.el8_* & !*.el8_2* & !*.el8.x86_64 & !*.el8.noarch",
        "releasever=8.3 & *.el8_* & !*.el8_3* & !*.el8.x86_64 & !*.el8.noarch",
        "releasever=8.4 & *.el8_* & !*.el8_4* & !*.el8.x86_64 & !*.el8.noarch",
        "releasever=8.5 & *.el8_* & !*.el8_5* & !*.el8.x86_64 & !*.el8.noarch",
        "releasever=8.6 & *.el8_* & !*.el8_6* & !*.el8.x86_64 & !*.el8.noarch",
        "releasever=8.7 & *.el8_* & !*.el8_7* & !*.el8.x86_64 & !*.el8.noarch",
        "releasever=8.8 & *.el8_* & !*.el8_8* & !*.el8.x86_64 & !*.el8.noarch",
        "releasever=8.9 & *.el8_* & !*.el8_9* & !*.el8.x86_64 & !*.el8.noarch",
        "releasever=9.0 & *.el9_* & !*.el9_0* & !*.el9.x86_64 & !*.el9.noarch",
        "releasever=9.1 & *.el9_* & !*.el9_1* & !*.el9.x86_64 & !*.el9.noarch",
        "releasever=9.2 & *.el9_* & !*.el9_2* & !*.el9.x86_64 & !*.el9.noarch",
        "releasever=9.3 & *.el9_* & !*.el9_3* & !*.el9.x86_64 & !*.el9.noarch",
        "releasever=9.4 & *.el9_* & !*.el9_4* & !*.el9.x86_64 & !*.el9.noarch",
        "releasever=9.5 & *.el9_* & !*.el9_5* & !*.el9.x86_64 & !*.el9.noarch",
        "releasever=9.6 & *.el9_* & !*.el9_6* & !*.el9.x86_64 & !*.el9.noarch",
        "releasever=9.7 & *.el9_* & !*.el9_7* & !*.el9.x86_64 & !*.el9.noarch",
        "releasever=9.8 & *.el9_* & !*.el9_8* & !*.el9.x86_64 & !*.el9.noarch",
        "releasever=8.4 & *.el9_*",
        "releasever=8.5 & *.el9_*",
        "releasever=8.6 & *.el9_*",
        "releasever=8.7 & *.el9_*",
        "releasever=8.8 & *.el9_*",
        "releasever=8.9 & *.el9_*",
    ),
    who=("driver",),
    next="update the operator, or correct RHEL_VERSION and OPENSHIFT_VERSION in the env of the driver DaemonSet",
)
