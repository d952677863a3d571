"""nvidia-smi, NVML or a validator finds no module; the reason stands elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.rules.diagnose._hosts import bus, idle_gpus, on_host, with_hosts
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "driver-not-loaded",
    "kernel driver",
    "the NVIDIA driver is not loaded",
    signs=(
        "couldn't communicate with the nvidia driver",
        "could not communicate with the nvidia driver",
        "cannot communicate with the nvidia driver",
        "unable to communicate with the nvidia driver",
        "{nvml} & driver not loaded",
        "driver not loaded",
        "nvml_error_driver_not_loaded",
        "proc/driver/nvidia/version & {absent}",
        "proc/driver/nvidia & {absent}",
        "{nvidia module} & not loaded & !nvidia-fs & !peermem & !gdrcopy & !mofed",
        "nvidia driver & not loaded",
        "nvidia driver & not running",
        "no nvidia module loaded",
        "failed to load nvidia driver",
        "sys/module/nvidia/refcnt & {absent}",
        "make sure that the latest nvidia driver is installed and running",
        "nvrm no nvidia devices probed",
        "could not load nvidia kernel module",
        "unable to load the kernel module nvidia*",
        "unable to load the nvidia-drm kernel module",
        "kernel module nvidia & {failing} & !version & !such as",
        "could not insert nvidia* no such device & !uvm",
        "driver installation failed",
        "installation has failed .. nvidia-installer.log",
        "nvidia_drv & not found & driver",
    ),
    symptom=True,
    because=(
        "nouveau-loaded",
        "nova-core-loaded",
        "secure-boot-unsigned-module",
        "kernel-headers-missing",
        "compiler-mismatch",
        "driver-kernel-incompatible",
        "dkms-stale-state",
        "kernel-upgraded-module-missing",
        "driver-branch-too-old-for-gpu",
        "driver-branch-too-new-for-gpu",
        "open-kernel-module-required",
        "open-kernel-module-unsupported-gpu",
        "gsp-firmware-missing",
        "driver-load-service-raced-network",
        "driver-module-in-use",
        "host-driver-preinstalled-conflict",
        "kernel-module-wedged",
        "driver-not-installed",
        "driver-library-mismatch-said",
        "gsp-firmware-fault",
        "gpu-held-by-vfio-pci",
    ),
    next=(
        "on the node: `lsmod | grep -e nvidia -e nouveau`, then `dmesg | grep -e NVRM -e nvidia`; where a"
        " driver pod owns the module, its log"
    ),
)


def look(host: HostFacts) -> Iterator[Finding]:
    if idle := idle_gpus(host):
        yield on_host(
            host,
            "no nvidia module is loaded, so that nothing drives its GPU",
            ("/proc/driver/nvidia is not there", *bus(idle)),
            "on the node: `modprobe nvidia`, then `dmesg | grep -e NVRM -e nvidia`; where a driver pod owns the module,"
            " its log",
        )


RULE = with_hosts(WORDS, look)
