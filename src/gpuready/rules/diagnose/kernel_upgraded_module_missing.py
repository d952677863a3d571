"""The module was built for another kernel: the machine came back with a new one."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import bus, idle_gpus, installed, on_host, with_hosts
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "kernel-upgraded-module-missing",
    "kernel driver",
    "the running kernel has no nvidia module",
    signs=(
        "module nvidia not found",
        "module nvidia* not found in directory & !peermem & !nvidia-fs & !nvidia_fs & !vgpu",
        "module nvidia-current not found",
        "could not find module nvidia",
        "nvidia module & {absent} & lib/modules",
        "modinfo & module nvidia & {absent}",
        "nvidia* & version magic",
        "nvidia* & disagrees about version of symbol & !peermem",
        "could not insert nvidia* invalid module format",
        "could not insert nvidia* exec format error",
        "linux-modules-nvidia* & {absent}",
        "linux-objects-nvidia* & {absent}",
        "linux-signatures-nvidia* & {absent}",
        "kmod-nvidia* & {absent}",
        "failed to find module nvidia",
        "nvidia.ko & {absent}",
        "nvidia kernel module missing",
        "could not find suitable nvidia kernel module",
        "nvidia kernel module & {absent} & for kernel",
    ),
    because=("kernel-headers-missing", "compiler-mismatch", "driver-kernel-incompatible", "dkms-stale-state"),
    next=(
        "build or install the driver for `uname -r` (`dkms autoinstall`, or the distribution's module"
        " package), or boot the kernel before it"
    ),
)


def look(host: HostFacts) -> Iterator[Finding]:
    """The driver's libraries are there, so it was installed once; the running kernel has no module of it."""
    idle = idle_gpus(host)
    if not idle or not installed(host) or known(host.module_built):
        return
    kernel = known(host.kernel)
    yield on_host(
        host,
        f"no nvidia module is built for its kernel {kernel}, though the driver is installed",
        (
            f"/lib/modules/{kernel}/modules.dep names no nvidia.ko",
            *(f"{place.lib_dir}/libnvidia-ml.so.{place.version or 1}" for place in installed(host)),
            *bus(idle),
        ),
        f"on the node: `dkms autoinstall -k {kernel}`, or the distribution's module package for it; or boot the kernel"
        " before it",
    )


RULE = with_hosts(WORDS, look)
