"""The package index does not have headers of exactly the running kernel."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import idle_gpus, installed, on_host, with_hosts
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
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


def look(host: HostFacts) -> Iterator[Finding]:
    """They matter where a module has to be built: the driver is installed, and the running kernel has none."""
    if not idle_gpus(host) or not installed(host) or known(host.module_built) or known(host.headers):
        return
    kernel = known(host.kernel)
    yield on_host(
        host,
        f"there are no headers for its kernel {kernel}, so that no nvidia module can be built",
        (f"/lib/modules/{kernel}/build/Makefile is not there", f"/lib/modules/{kernel}/modules.dep names no nvidia.ko"),
        f"install the headers of {kernel} (linux-headers-{kernel}, or kernel-devel-{kernel}), then `dkms autoinstall`",
    )


RULE = with_hosts(WORDS, look)
