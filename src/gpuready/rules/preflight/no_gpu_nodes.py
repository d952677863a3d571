"""No NVIDIA GPU on any node that was looked at: there is nothing to set up."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Node
from gpuready.model.rule import Finding, Rule
from gpuready.model.spec import Setup
from gpuready.model.unknown import TouchedUnknown, Unknown, known
from gpuready.rules.preflight._scope import Looks, few, look_at


def find(cluster: ClusterFacts, setup: Setup, looks: Looks, chosen: tuple[str, ...]) -> Iterator[Finding]:
    unread: TouchedUnknown | None = None
    looked = tuple(dict.fromkeys((*looks, *chosen)))
    for node in looked:
        try:
            if known(look_at(looks, node).gpus):
                return
        except TouchedUnknown as touched:
            unread = unread or touched
    if unread:
        raise unread
    names = frozenset(looked)
    others = [n for n in known(cluster.nodes) if n.name not in names]
    yield Finding(
        at="cluster",
        says="no node has an NVIDIA GPU on its PCI bus" if looked else "no node could be looked at",
        evidence=(
            *((f"looked at {few(looked)}: no device of vendor 10de and class 03",) if looked else ()),
            *(f"not looked at: node/{n.name}, {_why_not(n, setup)}" for n in others[:10]),
            *((f"not looked at: {len(others) - 10} more nodes",) if len(others) > 10 else ()),
        ),
        next="name the GPU nodes in the spec (nodes.names) or tolerate their taints (nodes.tolerations)",
    )


def _why_not(node: Node, setup: Setup) -> str:
    if node.name in setup.nodes.exclude:
        return "excluded in the spec"
    if setup.nodes.names or setup.nodes.match_labels:
        return "not meant by the spec"
    if node.os != "linux":
        return f"runs {node.os}"
    if isinstance(node.ready, Unknown):
        return node.ready.why
    if not node.ready:
        return "not Ready"
    return f"taint {node.taints[0]}" if node.taints else "not chosen"


RULE = Rule("no-gpu-nodes", "preflight", "refuse", "No node has an NVIDIA GPU", find)
