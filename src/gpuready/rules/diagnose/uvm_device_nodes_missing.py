"""Nobody has loaded nvidia-uvm and made its nodes since the machine started."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import installed, on_host, with_hosts
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "uvm-device-nodes-missing",
    "kernel driver",
    "the device nodes of nvidia-uvm are not there",
    signs=(
        "dev/nvidia-uvm* & {absent}",
        "dev/nvidia-modeset & {absent}",
        "initialization error cuda error unknown error",
        "initialization error cuda error & {failing}",
        "nvidia-uvm & {absent} & dev",
        "nvidia-uvm & device node* & {failing}",
        "dev/nvidia-uvm* & {failing} & !peermem",
        "nvidia-uvm & not .. loaded",
        "could not load uvm kernel module",
        "uvm & {load module} & {failing} & !wedged",
        "load uvm & {failing}",
        "failed to create device node nvidia-uvm*",
    ),
    because=(
        "driver-not-loaded",
        "kernel-upgraded-module-missing",
        "driver-not-installed",
        "driver-library-mismatch-said",
        "gpu-device-nodes-missing",
        "kernel-module-wedged",
    ),
    next=(
        "load the module and make its nodes: `nvidia-modprobe -u -c=0` (or `nvidia-ctk system"
        " create-device-nodes --load-kernel-modules --control-devices`)"
    ),
)


def look(host: HostFacts) -> Iterator[Finding]:
    """A driver container makes the nodes in a folder of its own."""
    loaded = known(host.kernel_driver_version)
    if loaded is None or not installed(host) or "nvidia-uvm" in (nodes := known(host.device_nodes)):
        return
    if "nvidiactl" not in nodes:
        return  # none of them are there: gpu-device-nodes-missing
    yield on_host(
        host,
        "/dev/nvidia-uvm is not there, so that CUDA cannot start",
        (f"nvidia module {loaded} is loaded", f"below /dev: {', '.join(nodes)}"),
        "on the node: `nvidia-modprobe -u -c=0`",
    )


RULE = with_hosts(WORDS, look)
