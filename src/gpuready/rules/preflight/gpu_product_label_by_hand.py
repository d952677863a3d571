"""A discovery label set by hand says what somebody believed of the hardware, and hides that discovery does not run."""

from __future__ import annotations

import re
from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Node
from gpuready.model.fleet import each
from gpuready.model.names import AGENT_MANAGER, MANAGER
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, Unknown
from gpuready.rules.preflight._scope import chosen_nodes, counted

# What GPU feature discovery and node feature discovery write. Labels by which users steer the operator are not among
# them (nvidia.com/gpu.deploy.*, mig.config, gpu.workload.config, device-plugin.config).
DISCOVERED = re.compile(
    r"^(nvidia\.com/(gpu\.(present|product|memory|count|family|machine|compute\.(major|minor)|replicas|sharing-strategy)"
    r"|cuda\..+|mig\.(capable|strategy))|feature\.node\.kubernetes\.io/pci-(\w+_)?10de(_.+)?\.present)$"
)
DISCOVERY = (MANAGER, AGENT_MANAGER, "nfd-master", "nfd-worker", "gpu-operator", "gpu-feature-discovery")


def find(cluster: ClusterFacts, chosen: tuple[str, ...]) -> Iterator[Finding]:
    yield from each(chosen_nodes(cluster, chosen), _find)


def _find(node: Node) -> Iterator[Finding]:
    labels = sorted(key for key in node.labels if DISCOVERED.match(key))
    unknown = [key for key in labels if key not in node.label_managers]
    by_hand = [key for key in labels if key not in unknown and not _discovered(node.label_managers[key])]
    if by_hand:
        yield Finding(
            at=f"node/{node.name}",
            says=f"{counted(len(by_hand), 'GPU label')} set by hand, not by discovery: the agent's may contradict them",
            evidence=tuple(f"label {key}={node.labels[key]} set by {node.label_managers[key]}" for key in by_hand),
            next=f"kubectl label node {node.name} {' '.join(f'{key}-' for key in by_hand)}",
            nodes=(node.name,),
        )
    if unknown:
        raise TouchedUnknown(Unknown(f"who set label {unknown[0]} of node/{node.name}: its managedFields do not say"))


def _discovered(owners: str) -> bool:
    return any(owner in DISCOVERY for owner in owners.split(","))


RULE = Rule("gpu-product-label-by-hand", "preflight", "warn", "GPU labels were set by hand", find)
