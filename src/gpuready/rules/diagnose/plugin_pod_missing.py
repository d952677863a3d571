"""A node is said to have GPUs, offers none, and no device plugin runs there."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.placement import unmet, untolerated
from gpuready.model.rule import Finding, Rule
from gpuready.rules.diagnose._objects import meant_for_gpus, without_plugin


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    seen: set[str] = set()
    for ds, nodes in without_plugin(cluster):
        for node in nodes:
            signs = meant_for_gpus(node)
            if not signs or node.name in seen:
                continue
            seen.add(node.name)
            lacking = [f"lacks {what}" for what in unmet(ds.placement, node)]
            kept = [f"has the taint {taint}, which is not tolerated" for taint in untolerated(ds.placement, node)]
            yield Finding(
                at=f"node/{node.name}",
                says="it is said to have GPUs, and no device plugin runs on it",
                evidence=(
                    signs[0],
                    *(f"for ds/{ds.key} it {what}" for what in (*lacking, *kept)),
                    f"no pod of ds/{ds.key}",
                ),
                next=f"kubectl describe ds -n {ds.namespace} {ds.name}: its events and its node selector",
                nodes=(node.name,),
            )


RULE = Rule(
    "plugin-pod-missing",
    "diagnose",
    "fail",
    "No device plugin runs on a GPU node",
    find,
    link="plugin",
    symptom=True,
    because=(
        "gpu-node-taint-not-tolerated",
        "node-label-missing",
        "pod-security-blocks-privileged",
        "resource-quota-blocks-pods",
        "runtime-class-missing",
    ),
)
