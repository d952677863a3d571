"""The package index does not have headers of exactly the running kernel."""

from gpuready.rules.diagnose._said import said_rule

RULE = said_rule(
    "kernel-headers-missing",
    "kernel driver",
    "there are no headers for the kernel that runs",
    signs=(
        "{kernel headers} & {absent} & !skipping & !{refused} & !{unresolved} & !{unauthorized} & !{timeout}",
        "could not resolve linux kernel version",
        "could not locate linux kernel version string",
        "unable to find the kernel source tree",
        "unable to locate package linux-headers*",
        "couldn't find any package by glob linux-headers*",
        "couldn't find any package by regex linux-headers*",
        "unable to find a match .. kernel-devel*",
        "unable to find a match .. kernel-headers*",
        "no package kernel-devel* available",
        "no package kernel-headers* available",
        "your kernel headers for kernel * cannot be found",
        "kernel headers .. cannot be found",
        "headers for kernel & {absent}",
        "unable to locate package linux-image*",
        "kernel source path & {absent}",
        "please install the linux-headers*",
        "module build for kernel * was skipped since the kernel headers",
        "lib/modules/*/build & {absent}",
        "neither the * nor the linux source trees",
        "unable to locate the kernel source",
        "kernel-core* & {absent} & no package",
        "kernel-modules* & no match for argument",
    ),
    because=(
        "operator-stale-env-after-cluster-upgrade",
        "openshift-entitlement-missing",
        "entitlement-expired-or-outdated",
        "package-mirror-unreachable",
    ),
    next=(
        "boot a kernel whose headers the package mirror has, or bring headers of `uname -r` into a mirror"
        " that the node or the driver container reads"
    ),
)
