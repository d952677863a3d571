"""The agent is a Linux program, and NVIDIA's driver for data centers comes for amd64 and arm64."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.rules.preflight._scope import chosen_nodes

ARCHITECTURES = ("amd64", "arm64")


def find(cluster: ClusterFacts, chosen: tuple[str, ...]) -> Iterator[Finding]:
    for node in chosen_nodes(cluster, chosen):
        if node.os == "linux" and node.arch in ARCHITECTURES:
            continue
        yield Finding(
            at=f"node/{node.name}",
            says=f"it is {node.os}/{node.arch}; the agent runs on linux/amd64 and linux/arm64",
            evidence=(f"nodeInfo {node.os}/{node.arch}, {node.os_image or 'no OS image given'}",),
            next="choose Linux nodes of these architectures (nodes.names, nodes.matchLabels)",
            nodes=(node.name,),
        )


RULE = Rule("node-wrong-os-or-arch", "preflight", "refuse", "A chosen node has the wrong system", find)
