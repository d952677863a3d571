"""A GPU is set aside for virtual machines, on a node that nobody has marked as one for them."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import Hosts, bus, node_of, of_hosts, on_host

PASSTHROUGH = "nvidia.com/gpu.workload.config"  # of the GPU Operator: container, vm-passthrough, vm-vgpu


def find(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    def look(host: HostFacts) -> Iterator[Finding]:
        held = [gpu for gpu in known(host.gpus) if gpu.kernel_driver == "vfio-pci"]
        if held and not node_of(cluster, host.node).labels.get(PASSTHROUGH, "").startswith("vm-"):
            yield on_host(
                host,
                f"vfio-pci holds {len(held)} of its {len(known(host.gpus))} GPU, for virtual machines",
                bus(held),
                "where containers are to have it: take its id out of `vfio-pci.ids` on the kernel's command line and"
                " out of /etc/modprobe.d, then reboot the node",
            )

    yield from of_hosts(cluster, hosts, look)


RULE = Rule(
    "gpu-held-by-vfio-pci",
    "diagnose",
    "fail",
    "vfio-pci holds the GPU, so that containers cannot have it",
    find,
    link="kernel driver",
)
