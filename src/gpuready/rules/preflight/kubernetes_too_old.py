"""Releases before the oldest on which gpuready was run are refused live; files for them can be written all the same."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.knowledge import versions
from gpuready.model.facts.cluster import ClusterFacts, Node
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, Unknown
from gpuready.rules.preflight._scope import chosen_nodes

FILES = "gpuready plan --out-dir DIR writes the files without touching the cluster"


def find(cluster: ClusterFacts, chosen: tuple[str, ...]) -> Iterator[Finding]:
    window, version = versions.WINDOW, cluster.identity.version
    served = versions.parse(version)
    if served is not None and served < window.oldest_api:
        yield Finding(
            at="cluster",
            says=f"the API server is {version}; gpuready needs {versions.show(window.oldest_api)} or newer",
            evidence=(f"/version gitVersion {version}",),
            next=FILES,
        )
    yield from each(chosen_nodes(cluster, chosen), partial(_node, window))
    if served is None:
        raise TouchedUnknown(Unknown("the API server gave no version that can be read", ask="kubectl version"))


def _node(window: versions.Window, node: Node) -> Iterator[Finding]:
    kubelet = versions.parse(node.kubelet)
    if kubelet is None:
        raise TouchedUnknown(Unknown(f"node/{node.name} gives no kubelet version", ask="kubectl get nodes"))
    oldest = window.oldest_node
    if kubelet < oldest:
        yield Finding(
            at=f"node/{node.name}",
            says=f"its kubelet is {node.kubelet}; the oldest that gpuready was run on is {versions.show(oldest)}",
            evidence=(f"nodeInfo.kubeletVersion {node.kubelet}", window.told()),
            next=f"upgrade the node; {FILES}",
            nodes=(node.name,),
        )


RULE = Rule("kubernetes-too-old", "preflight", "refuse", "Kubernetes is older than what was tested", find)
