"""Somebody serves GPUs on a node and is no pod: a service of the host, as on some node images."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.journal import Inventory
from gpuready.model.names import RESOURCE
from gpuready.model.rule import Finding, Rule
from gpuready.rules.preflight._scope import chosen_nodes, plugin_pods, served_by_us


def find(cluster: ClusterFacts, inventory: Inventory, chosen: tuple[str, ...]) -> Iterator[Finding]:
    served = {pod.node for _, pod in plugin_pods(cluster)} | served_by_us(cluster, inventory)
    for node in chosen_nodes(cluster, chosen):
        offers = {name: n for name, n in node.allocatable.items() if n and _is_gpu(name)}
        if not offers or node.name in served:
            continue
        yield Finding(
            at=f"node/{node.name}",
            says="it offers GPUs and no pod serves them: a service of the host does",
            evidence=tuple(f"allocatable {name}: {n}" for name, n in sorted(offers.items())),
            next="use them as they are, or stop that service, then gpuready up",
            nodes=(node.name,),
        )


def _is_gpu(resource: str) -> bool:
    """nvidia.com/gpu, nvidia.com/gpu.shared, nvidia.com/mig-1g.5gb; not the network cards' nvidia.com/hostdev."""
    return resource == RESOURCE or resource.startswith((f"{RESOURCE}.", "nvidia.com/mig-"))


RULE = Rule("gpu-allocatable-without-plugin", "preflight", "refuse", "A host service serves the GPUs", find)
