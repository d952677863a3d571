"""No node has the labels by which a GPU pod, or the device plugin, chooses its nodes."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.placement import unmet
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, Unknown
from gpuready.rules.diagnose._objects import until_unknown, without_plugin
from gpuready.rules.diagnose._stuck import stuck


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    gaps: list[Unknown] = []
    yield from until_unknown(_pods(cluster), gaps)
    yield from until_unknown(_plugins(cluster), gaps)
    for gap in gaps:
        raise TouchedUnknown(gap)


def _pods(cluster: ClusterFacts) -> Iterator[Finding]:
    for one in stuck(cluster, "label"):
        near = min(one.nodes, key=lambda node: len(unmet(one.placement, node)))
        yield one.finding(
            f"no node with {one.asked.resource} has the labels by which it chooses nodes",
            (
                f"node/{near.name} lacks {', '.join(unmet(one.placement, near))}",
                f"nodes that have the GPUs: {one.where()}",
            ),
            "correct the pod's nodeSelector or affinity, or label the node, if that label is set by hand",
        )


def _plugins(cluster: ClusterFacts) -> Iterator[Finding]:
    """Labels of discovery are missing where NFD does not run, or does not see the GPU."""
    for ds, nodes in without_plugin(cluster):
        lacking = [(unmet(ds.placement, node), node) for node in nodes]
        if ds.desired or not all(labels for labels, _ in lacking):
            continue
        labels, near = min(lacking, key=lambda one: (len(one[0]), -len(one[1].labels), one[1].name))
        yield Finding(
            at=f"ds/{ds.key}",
            says="no node has the labels by which the device plugin chooses its nodes",
            evidence=(
                f"ds/{ds.key} wants pods on 0 nodes",
                f"nearest is node/{near.name}, which lacks {', '.join(labels)}",
            ),
            next="see whether Node Feature Discovery runs on the GPU nodes and sees the GPU; it sets such labels",
        )


RULE = Rule(
    "node-label-missing",
    "diagnose",
    "fail",
    "No node has the label that is asked for",
    find,
    link="discovery",
)
