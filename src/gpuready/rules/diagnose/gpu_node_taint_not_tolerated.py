"""The GPU nodes have a taint that the pod does not tolerate."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.placement import unmet, untolerated
from gpuready.model.rule import Finding
from gpuready.model.unknown import TouchedUnknown, Unknown
from gpuready.rules.diagnose._objects import few, toleration, until_unknown, with_objects, without_plugin
from gpuready.rules.diagnose._said import SHOWN, said_rule
from gpuready.rules.diagnose._stuck import stuck


def _seen(cluster: ClusterFacts) -> Iterator[Finding]:
    gaps: list[Unknown] = []
    yield from until_unknown(_pods(cluster), gaps)
    yield from until_unknown(_plugins(cluster), gaps)
    for gap in gaps:
        raise TouchedUnknown(gap)


def _pods(cluster: ClusterFacts) -> Iterator[Finding]:
    for one in stuck(cluster, "taint"):
        taints = {
            f"taint {taint} of node/{n.name}": taint for n in one.nodes for taint in untolerated(one.placement, n)
        }
        yield one.finding(
            f"it does not tolerate the taints of the nodes that have {one.asked.resource}: {one.where()}",
            tuple(taints)[:SHOWN],
            f"add a toleration to the pod: {toleration(next(iter(taints.values())))}",
        )


def _plugins(cluster: ClusterFacts) -> Iterator[Finding]:
    """A DaemonSet says nothing of nodes that it leaves out: no event, no pod, only a number that is too small."""
    for ds, nodes in without_plugin(cluster):
        kept = [n for n in nodes if not unmet(ds.placement, n) and any(untolerated(ds.placement, n))]
        if not kept:
            continue
        taints = {f"taint {taint} of node/{n.name}": taint for n in kept for taint in untolerated(ds.placement, n)}
        yield Finding(
            at=f"ds/{ds.key}",
            says=f"the device plugin does not tolerate the taints of {few(n.name for n in kept)}",
            evidence=(*tuple(taints)[:SHOWN], f"ds/{ds.key} wants pods on {ds.desired} nodes"),
            next=f"add a toleration to the DaemonSet by its chart's values: {toleration(next(iter(taints.values())))}",
            nodes=tuple(n.name for n in kept),
        )


RULE = with_objects(
    said_rule(
        "gpu-node-taint-not-tolerated",
        "scheduling",
        "the GPU nodes have a taint that the pod does not tolerate",
        signs=(
            "untolerated taint {gpu taint}",
            "untolerated taint s {gpu taint}",
            "had taint {gpu taint}",
            "had taints {gpu taint}",
            "untolerated taint * {gpu taint}",
            "had taint * {gpu taint}",
            "doesn't tolerate & {gpu taint} & taint*",
            "{untolerated taint} & !node-role* & !node.kubernetes.io* & !{gpu taint} & !insufficient",
        ),
        next="compare key, value and effect in `kubectl describe node` (Taints) with the pod's tolerations, then add"
        " one to the pod or to the DaemonSets by their chart's values",
    ),
    _seen,
)
