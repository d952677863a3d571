"""The driver is loaded, and nobody has made the device nodes of its GPUs since the machine started."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import hosts_rule, installed, on_host


def look(host: HostFacts) -> Iterator[Finding]:
    """A driver container makes the nodes in a folder of its own."""
    loaded = known(host.kernel_driver_version)
    if loaded is None or not installed(host):
        return
    driven = [gpu for gpu in known(host.gpus) if gpu.kernel_driver == "nvidia"]
    nodes = known(host.device_nodes)
    numbered = [name for name in nodes if name.removeprefix("nvidia").isdigit()]
    if not driven or ("nvidiactl" in nodes and len(numbered) >= len(driven)):
        return
    yield on_host(
        host,
        f"the driver is loaded, and /dev has nodes for {len(numbered)} of {len(driven)} GPU",
        (
            f"nvidia module {loaded} is loaded and drives {', '.join(gpu.address for gpu in driven)}",
            f"below /dev: {', '.join(nodes) or 'nothing that begins with nvidia'}",
        ),
        "on the node: `nvidia-modprobe -c 0 -u`, or start nvidia-persistenced; then restart the device plugin's pod",
    )


RULE = hosts_rule(
    "gpu-device-nodes-missing",
    "kernel driver",
    "The driver is loaded and its device nodes are not there",
    look,
)
