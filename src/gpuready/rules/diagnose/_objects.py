"""What rules over the API's objects share: who asks for GPUs, who offers and who serves them, and for what a pod waits.

`with_objects` is for a cause that components also put into words: one rule, one finding a place, evidence from both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import NamedTuple, TypeVar

import msgspec

from gpuready.knowledge.plugins import serves_gpus
from gpuready.knowledge.speakers import family
from gpuready.model.facts.cluster import ClusterFacts, DaemonSet, Node, Pod, Taint
from gpuready.model.facts.said import Said
from gpuready.model.names import NAMESPACE
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, Unknown, known

T = TypeVar("T")
ENDED = ("Succeeded", "Failed")
FAMILIES = frozenset({"driver", "toolkit", "plugin", "discovery", "dra", "monitoring", "mig", "vgpu", "operator"})
# by discovery, by a cloud, or by hand: somebody says that this node has GPUs
PCI = "feature.node.kubernetes.io/pci-"
PRESENT = "nvidia.com/gpu.present"
SIGNS = (PRESENT, "nvidia.com/gpu.product", "nvidia.com/gpu.count", "cloud.google.com/gke-accelerator")
DISCOVERED = ("nvidia.com/gpu.", "nvidia.com/mig.", "nvidia.com/cuda.", PCI)
ADDON = "addonmanager.kubernetes.io/mode"  # on what a cloud puts into every cluster, with GPUs or without


# -- one rule over words and objects


Seen = Callable[[ClusterFacts], Iterator[Finding]]


def same_place(told: Finding, seen: Finding) -> bool:
    at = told.at.replace("daemonset/", "ds/", 1)
    return at == seen.at or (bool(told.pods) and set(told.pods) <= set(seen.pods))


def with_objects(rule: Rule, seen: Seen, same: Callable[[Finding, Finding], bool] = same_place) -> Rule:
    """The rule over words, which finds the same cause in objects too. `seen` may touch Unknowns.

    `same`: whether something said is about what was seen, and becomes evidence of it.
    """

    def find(said: Said, cluster: ClusterFacts) -> Iterator[Finding]:
        gaps: list[Unknown] = []
        told = until_unknown(rule.find(said), gaps)
        for finding in until_unknown(seen(cluster), gaps):
            about = [one for one in told if same(one, finding)]
            told = [one for one in told if one not in about]
            words = tuple(line for one in about for line in one.evidence)
            yield msgspec.structs.replace(finding, evidence=tuple(dict.fromkeys((*finding.evidence, *words))))
        yield from told
        for gap in gaps:
            raise TouchedUnknown(gap)

    return msgspec.structs.replace(rule, find=find)


def until_unknown(found: Iterator[T], gaps: list[Unknown]) -> list[T]:
    """What is found before something unknown is touched, which is kept in `gaps`."""
    out: list[T] = []
    try:
        for finding in found:
            out.append(finding)
    except TouchedUnknown as touched:
        gaps.append(touched.unknown)
    return out


# -- who asks, offers and serves


def is_gpu(resource: str) -> bool:
    """nvidia.com/gpu, nvidia.com/gpu.shared, nvidia.com/mig-1g.5gb, nvidia.com/GA102GL_A10 (passed through to virtual
    machines), and misspellings; not the network cards' nvidia.com/hostdev."""
    vendor, _, name = resource.partition("/")
    if vendor != "nvidia.com":
        return "nvidia" in resource and "gpu" in resource  # alpha.kubernetes.io/nvidia-gpu
    return name.lower().startswith(("gpu", "mig-")) or name.isupper()


def asks(pod: Pod) -> dict[str, int]:
    """GPUs by resource: what its containers need at once, or its greediest init container."""
    if not any(container.requests for container in pod.containers):
        return {}
    total: dict[str, int] = {}
    for container in pod.containers:
        for name, number in container.requests.items():
            if is_gpu(name) and not container.init:
                total[name] = total.get(name, 0) + number
    for container in pod.containers:
        for name, number in container.requests.items():
            if is_gpu(name) and container.init:
                total[name] = max(total.get(name, 0), number)
    return {name: number for name, number in total.items() if number}


def gpus(quantities: Mapping[str, int]) -> dict[str, int]:
    return {name: number for name, number in quantities.items() if is_gpu(name) and number}


def meant_for_gpus(node: Node) -> tuple[str, ...]:
    """The labels and resources by which somebody says that it has GPUs."""
    return (*labelled(node), *(f"capacity {name}: {n}" for name, n in sorted(gpus(node.capacity).items())))


def labelled(node: Node) -> tuple[str, ...]:
    labels = sorted(node.labels.items())
    return tuple(f"label {key}={value}" for key, value in labels if _sign(key) and value != "false")


def _sign(key: str) -> bool:
    return key in SIGNS or (key.startswith(PCI) and "10de" in key and key.endswith(".present"))


def of_stack(daemonset: DaemonSet) -> bool:
    """A part of somebody's GPU stack, ours included."""
    names = (daemonset.name, *(image.rpartition("/")[2].partition(":")[0] for image in daemonset.images))
    return any(family(name) in FAMILIES for name in names)


def chosen(daemonset: DaemonSet) -> bool:
    """A device plugin that somebody put there, and not the cloud into every cluster."""
    return serves(daemonset) and ADDON not in daemonset.labels


def serves(daemonset: DaemonSet) -> bool:
    """Whether it is a device plugin for GPUs, ours included."""
    ours = daemonset.namespace == NAMESPACE
    return daemonset.device_plugin_dir and (ours or serves_gpus(daemonset.images, (daemonset.name, *daemonset.args)))


def serving_pods(cluster: ClusterFacts) -> Iterator[tuple[str, Pod]]:
    """(what owns it, pod) for every pod that has not ended and serves GPUs."""
    plugins = {ds.key for ds in known(cluster.daemonsets) if serves(ds)}
    for pod in known(cluster.pods):
        if not pod.device_plugin_dir or pod.phase in ENDED or not pod.node:
            continue
        kind, _, name = pod.owner.partition("/")
        key = f"{pod.namespace}/{name}"
        if kind == "ds" and key in plugins:
            yield f"ds/{key}", pod
        elif kind != "ds" and serves_gpus((c.image for c in pod.containers), (pod.name,)):
            yield f"pod/{pod.key}", pod


def without_plugin(cluster: ClusterFacts) -> Iterator[tuple[DaemonSet, tuple[Node, ...]]]:
    """(device plugin, nodes where it is missed): said to have GPUs, offer none, and no plugin runs there.

    A plugin that runs nowhere, in a cluster that offers no GPU, is missed wherever it may be.
    """
    nodes, plugins = known(cluster.nodes), [ds for ds in known(cluster.daemonsets) if chosen(ds)]
    if not plugins:
        return
    served = {pod.node for _, pod in serving_pods(cluster)}
    idle = tuple(node for node in nodes if not gpus(node.capacity))
    missed = tuple(node for node in idle if node.name not in served and meant_for_gpus(node))
    for ds in plugins:
        everywhere = not ds.desired and len(idle) == len(nodes)
        if everywhere or missed:
            yield ds, idle if everywhere else missed


def toleration(taint: Taint) -> str:
    value = f", operator: Equal, value: {taint.value}" if taint.value else ", operator: Exists"
    return f"{{key: {taint.key}{value}, effect: {taint.effect}}}"


def pointers(cluster: ClusterFacts) -> tuple[str, ...]:
    """What in the cluster is meant for GPUs, a line each."""
    return (
        *(
            f"pod/{pod.key} asks for {name}"
            for pod in known(cluster.pods)
            if pod.phase not in ENDED
            for name in asks(pod)
        ),
        *(f"node/{node.name}: {sign}" for node in known(cluster.nodes) for sign in labelled(node)),
        *(f"ds/{ds.key} is a device plugin" for ds in known(cluster.daemonsets) if chosen(ds)),
        *(f"{obj.at} is there" for obj in known(cluster.stacks)),
        *(f"NFD sees an NVIDIA device on node/{one.node}" for one in known(cluster.features) if one.nvidia),
    )


def served(cluster: ClusterFacts) -> bool:
    """Whether a device plugin for GPUs is there at all, at work or not."""
    return any(chosen(ds) for ds in known(cluster.daemonsets)) or any(True for _ in serving_pods(cluster))


def holders(pods: Iterable[Pod]) -> dict[str, list[Pod]]:
    """Node -> pods that hold GPUs of it: a pod that has ended holds none, whatever it asks for."""
    by_node: dict[str, list[Pod]] = {}
    for pod in pods:
        if pod.node and pod.phase not in ENDED and asks(pod):
            by_node.setdefault(pod.node, []).append(pod)
    return by_node


def nearest(name: str, names: Iterable[str]) -> str:
    """The one that was probably meant; empty where none is near."""
    return next(iter(get_close_matches(name, sorted(names), 1, 0.5)), "")


class Asked(NamedTuple):
    """One kind of GPU, so many of it."""

    resource: str
    number: int

    def __str__(self) -> str:
        return f"{self.number} {self.resource}"


def few(names: Iterable[str]) -> str:
    """gpu-1, gpu-2, gpu-3 and 4 more."""
    listed = sorted(names)
    return ", ".join(listed) if len(listed) <= 4 else f"{', '.join(listed[:3])} and {len(listed) - 3} more"
