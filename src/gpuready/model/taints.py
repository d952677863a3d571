"""Which taints would keep our pods away from a node."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import Node, Taint
from gpuready.model.names import RESOURCE
from gpuready.model.spec import Setup, Toleration

DEFAULT_TOLERATION = Toleration(key=RESOURCE)  # NVIDIA's own convention for GPU nodes, always tolerated
# not-ready, unreachable, pressure, unschedulable: the cluster's own, set and removed by its controllers
LIFECYCLE = ("node.kubernetes.io/", "node.cloudprovider.kubernetes.io/")


def untolerated(node: Node, setup: Setup) -> Iterator[Taint]:
    """NoSchedule and NoExecute taints that neither the spec nor the default tolerates."""
    for taint in node.taints:
        hard = taint.effect in ("NoSchedule", "NoExecute") and not taint.key.startswith(LIFECYCLE)
        if hard and not any(tolerates(t, taint) for t in (DEFAULT_TOLERATION, *setup.nodes.tolerations)):
            yield taint


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    if toleration.key != taint.key or toleration.effect not in ("", taint.effect):
        return False
    return toleration.operator == "Exists" or toleration.value == taint.value
