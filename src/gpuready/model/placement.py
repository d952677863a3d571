"""Whether a node is one that a pod may run on, as the scheduler and the DaemonSet controller decide it.

https://kubernetes.io/docs/concepts/scheduling-eviction/assign-pod-node and .../taint-and-toleration
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpuready.model.facts.cluster import Node, Placement, PodToleration, Requirement, Taint
from gpuready.model.taints import LIFECYCLE


def unmet(placement: Placement, node: Node) -> tuple[str, ...]:
    """What is asked of labels and the node has not; of several affinity terms, what the nearest lacks."""
    have = {**node.labels, "metadata.name": node.name}
    lacking = [f"{key}={value}" for key, value in sorted(placement.selector.items()) if have.get(key) != value]
    terms = [[str(r) for r in term if not _holds(r, have)] for term in placement.terms]
    return tuple(dict.fromkeys([*lacking, *min(terms, key=len, default=[])]))


def untolerated(placement: Placement, node: Node) -> Iterator[Taint]:
    """Taints that keep it away. Those that the cluster sets and removes by itself tell of the node, not of the pod."""
    for taint in node.taints:
        hard = taint.effect in ("NoSchedule", "NoExecute") and not taint.key.startswith(LIFECYCLE)
        if hard and not any(_tolerates(t, taint) for t in placement.tolerations):
            yield taint


def _tolerates(toleration: PodToleration, taint: Taint) -> bool:
    if toleration.effect not in ("", taint.effect):
        return False
    if not toleration.key:
        return toleration.operator == "Exists"
    if toleration.key != taint.key:
        return False
    return toleration.operator != "Equal" or toleration.value == taint.value


def _holds(requirement: Requirement, have: Mapping[str, str]) -> bool:
    value, values = have.get(requirement.key), requirement.values
    match requirement.operator:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" if value is not None and _integer(value) and values and _integer(values[0]):
            more = int(value) - int(values[0])
            return more > 0 if requirement.operator == "Gt" else more < 0
    return False


def _integer(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 18
