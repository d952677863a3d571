"""NFD sees an NVIDIA device on a node, and the label that tells of it is not there."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.diagnose._objects import PCI


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    """The worker writes a NodeFeature; the master makes labels of it."""
    seen = {feature.node for feature in known(cluster.features) if feature.nvidia}
    for node in known(cluster.nodes) if seen else ():
        if node.name in seen and not any(key.startswith(PCI) and "10de" in key for key in node.labels):
            yield Finding(
                at=f"node/{node.name}",
                says="NFD sees an NVIDIA device on it, and has not labelled it",
                evidence=(f"NodeFeature of {node.name} has pci-10de.present", f"node/{node.name} has no such label"),
                next="read the log of nfd-master: what it may not do, or whether it runs at all",
                nodes=(node.name,),
            )


RULE = Rule(
    "nfd-label-not-written",
    "diagnose",
    "fail",
    "NFD does not write the labels of what it sees",
    find,
    link="discovery",
    because=("nfd-master-unreachable", "nfd-rbac-missing"),
)
