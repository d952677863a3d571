"""A taint says that pods are to stay away; going there all the same is for the user to say, key by key."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Node, Taint
from gpuready.model.rule import Finding, Rule
from gpuready.model.spec import Setup
from gpuready.model.taints import untolerated
from gpuready.model.unknown import TouchedUnknown, Unknown, known

CONTROL_PLANE = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
GPU_SIGNS = ("nvidia.com/", "feature.node.kubernetes.io/pci-10de", "feature.node.kubernetes.io/pci-0302_10de")


def find(cluster: ClusterFacts, setup: Setup, chosen: tuple[str, ...]) -> Iterator[Finding]:
    taken = frozenset(chosen)
    groups: dict[Taint, list[str]] = {}
    unread: Unknown | None = None
    for node in known(cluster.nodes):
        for taint in untolerated(node, setup):
            if node.name not in taken and isinstance(node.ready, Unknown):
                unread = node.ready
            elif node.name in taken or _candidate(node, setup):
                groups.setdefault(taint, []).append(node.name)
    for taint, names in groups.items():
        yield Finding(
            at=f"node/{names[0]}" if len(names) == 1 else f"{len(names)} nodes",
            says=f"taint {taint} keeps gpuready's pods away",
            evidence=tuple(f"node/{name} spec.taints {taint}" for name in names),
            next=f"tolerate it: nodes.tolerations: [{_toleration(taint)}]",
            nodes=tuple(names),
        )
    if unread is not None:
        raise TouchedUnknown(unread)


def _candidate(node: Node, setup: Setup) -> bool:
    """Nodes that would be looked at but for the taint. A control plane node only if something speaks for a GPU."""
    nodes = setup.nodes
    if node.name in nodes.exclude or nodes.names or nodes.match_labels or node.os != "linux" or node.ready is not True:
        return False
    if any(t.key in CONTROL_PLANE for t in node.taints):
        return any(key.startswith(GPU_SIGNS) for key in (*node.labels, *node.capacity))
    return True


def _toleration(taint: Taint) -> str:
    value = f", operator: Equal, value: {taint.value}" if taint.value else ""
    return f"{{key: {taint.key}{value}, effect: {taint.effect}}}"


RULE = Rule("untolerated-taints", "preflight", "ask", "Taints keep the agent away", find)
