"""For what a pod waits that no node was found for: the first condition that leaves no node over.

The order is the scheduler's own: enough GPUs at all, labels, taints, readiness, a cordon, GPUs that are free.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple

from gpuready.model.facts.cluster import ClusterFacts, Node, Placement, Pod
from gpuready.model.placement import unmet, untolerated
from gpuready.model.rule import Finding
from gpuready.model.unknown import TouchedUnknown, Unknown, complete, known, members
from gpuready.rules.diagnose._objects import Asked, asks, few, gpus, holders

Why = Literal["offered", "number", "label", "taint", "ready", "cordon", "held"]
GATED = "Scheduling is blocked due to non-empty scheduling gates"


class Stuck(NamedTuple):
    """Pods alike in what they ask for, and what stands in their way. `nodes`: those that were left before it."""

    why: Why
    asked: Asked
    pods: tuple[Pod, ...]
    nodes: tuple[Node, ...]

    @property
    def placement(self) -> Placement:
        return self.pods[0].placement or Placement()

    def finding(self, says: str, evidence: Iterable[str], next_: str) -> Finding:
        """About all of these pods, told at the first."""
        more = f"; so do {len(self.pods) - 1} more of {self.pods[0].owner or 'its kind'}" if len(self.pods) > 1 else ""
        first = self.pods[0]
        return Finding(
            at=f"pod/{first.key}",
            says=says,
            evidence=(*evidence, f"pod/{first.key} asks for {self.asked}, and waits{more}"),
            next=next_,
            nodes=() if self.why == "offered" else tuple(node.name for node in self.nodes),
            pods=tuple(pod.key for pod in self.pods),
        )

    def where(self) -> str:
        return few(node.name for node in self.nodes)


_last: list[tuple[ClusterFacts, tuple[Stuck, ...], tuple[Unknown, ...]]] = []  # looked through once for all rules


def stuck(cluster: ClusterFacts, why: Why) -> Iterator[Stuck]:
    """Those that wait for this; then, if some could not be judged, an Unknown."""
    if not (_last and _last[0][0] is cluster):
        _last[:] = [(cluster, *_all(cluster))]
    _, found, gaps = _last[0]
    yield from (one for one in found if one.why == why)
    for gap in gaps:
        raise TouchedUnknown(gap)


def _all(cluster: ClusterFacts) -> tuple[tuple[Stuck, ...], tuple[Unknown, ...]]:
    found: list[Stuck] = []
    gaps: list[Unknown] = []
    try:
        pods = members(cluster.pods)
        groups = _groups(pods)
        if groups:
            nodes = known(cluster.nodes)
            complete(nodes)
            held = {node: _sum(there) for node, there in holders(pods).items()}
        for (asked, _), alike in groups.items():
            try:
                if (one := _judged(asked, alike, nodes, held)) is not None:
                    found.append(one)
            except TouchedUnknown as touched:
                gaps.append(touched.unknown)
        complete(cluster.pods)
    except TouchedUnknown as touched:
        gaps.append(touched.unknown)
    return tuple(found), tuple(dict.fromkeys(gaps))


def _groups(pods: Iterable[Pod]) -> dict[tuple[Asked, str], list[Pod]]:
    """Pods without a node, by what they ask for; one that asks for two kinds of GPU is in two groups."""
    groups: dict[tuple[Asked, str], list[Pod]] = {}
    for pod in pods:
        if pod.node or pod.phase != "Pending" or not pod.unscheduled or pod.unscheduled.startswith(GATED):
            continue
        for resource, number in sorted(asks(pod).items()):
            alike = f"{pod.namespace} {pod.owner or pod.name} {pod.placement}"
            groups.setdefault((Asked(resource, number), alike), []).append(pod)
    return groups


def _sum(pods: Iterable[Pod]) -> dict[str, int]:
    total: dict[str, int] = {}
    for pod in pods:
        for resource, number in asks(pod).items():
            total[resource] = total.get(resource, 0) + number
    return total


def _judged(asked: Asked, pods: list[Pod], nodes: Iterable[Node], held: dict[str, dict[str, int]]) -> Stuck | None:
    """None: a node would do, or something else than GPUs, labels and taints is in the way."""
    resource, number = asked
    placement = pods[0].placement or Placement()

    def free(node: Node) -> bool:
        return node.allocatable.get(resource, 0) - held.get(node.name, {}).get(resource, 0) >= number

    steps: tuple[tuple[Why, Callable[[Node], bool]], ...] = (
        ("offered", lambda node: bool(gpus(node.capacity).get(resource))),
        ("number", lambda node: node.capacity[resource] >= number),
        ("label", lambda node: not unmet(placement, node)),
        ("taint", lambda node: not any(untolerated(placement, node))),
        ("ready", lambda node: known(node.ready)),
        ("cordon", lambda node: not node.unschedulable),
        ("held", free),
    )
    left = tuple(nodes)
    for why, holds in steps:
        rest = tuple(node for node in left if holds(node))
        if not rest:
            return Stuck(why, asked, tuple(pods), left)
        left = rest
    return None
