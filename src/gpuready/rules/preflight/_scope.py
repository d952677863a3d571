"""What the preflight rules share: the chosen nodes, the look at a node, what is ours, and who serves GPUs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gpuready.knowledge import plugins
from gpuready.model.facts.cluster import ClusterFacts, DaemonSet, Node, Pod
from gpuready.model.facts.host import HostReport
from gpuready.model.journal import Inventory
from gpuready.model.names import AGENT, NAMESPACE
from gpuready.model.unknown import Unknown, known

Looks = Mapping[str, HostReport | Unknown]

ENDED = ("Succeeded", "Failed")
NAME_LABEL = "app.kubernetes.io/name"


def chosen_nodes(cluster: ClusterFacts, chosen: tuple[str, ...]) -> tuple[Node, ...]:
    names = frozenset(chosen)
    return tuple(n for n in known(cluster.nodes) if n.name in names)


def look_at(looks: Looks, node: str) -> HostReport:
    """The look at one node; touching a look that was not made (yet) makes the rule undetermined."""
    return known(looks.get(node, Unknown(f"node/{node} was not looked at", ask=f"look at node/{node}")))


def served_by_us(cluster: ClusterFacts, inventory: Inventory) -> frozenset[str]:
    """Nodes on which our agent was put, by the inventory or by what runs there; all where our operator serves them."""
    if inventory.release:
        return frozenset(n.name for n in known(cluster.nodes))
    labelled = {item.ref.name for item in inventory.items if item.ref.kind == "Node"}
    running = {p.node for p in known(cluster.pods) if is_our_pod(p) and p.labels[NAME_LABEL] == AGENT}
    return frozenset(labelled | running)


def is_our_pod(pod: Pod) -> bool:
    """The agent and the probes: everything of ours runs in our namespace under a name that begins alike."""
    return pod.namespace == NAMESPACE and pod.labels.get(NAME_LABEL, "").startswith("gpuready-")


def is_our_daemonset(daemonset: DaemonSet) -> bool:
    return daemonset.namespace == NAMESPACE and daemonset.name.startswith(AGENT)


def plugin_daemonsets(cluster: ClusterFacts) -> tuple[DaemonSet, ...]:
    """DaemonSets of others that serve NVIDIA GPUs."""
    return tuple(
        ds
        for ds in known(cluster.daemonsets)
        if ds.device_plugin_dir and not is_our_daemonset(ds) and plugins.serves_gpus(ds.images, (ds.name, *ds.args))
    )


def plugin_pods(cluster: ClusterFacts) -> Iterator[tuple[str, Pod]]:
    """(what owns it, pod) for every running pod of others that serves NVIDIA GPUs."""
    daemonsets = {ds.key: ds for ds in plugin_daemonsets(cluster)}
    for pod in known(cluster.pods):
        if not pod.device_plugin_dir or pod.phase in ENDED or is_our_pod(pod):
            continue
        kind, _, name = pod.owner.partition("/")
        key = f"{pod.namespace}/{name}"
        if kind == "ds" and key in daemonsets:
            yield f"ds/{key}", pod
        elif plugins.serves_gpus((c.image for c in pod.containers), (pod.name,)):
            yield f"pod/{pod.key}", pod


def few(names: Iterable[str]) -> str:
    """gpu-1, gpu-2, gpu-3 and 4 more."""
    listed = sorted(names)
    return ", ".join(listed) if len(listed) <= 4 else f"{', '.join(listed[:3])} and {len(listed) - 3} more"


def counted(number: int, noun: str) -> str:
    """1 pod, 2 pods."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
