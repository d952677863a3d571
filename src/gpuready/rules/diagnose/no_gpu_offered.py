"""No node offers a GPU, although something in the cluster is meant for GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, NotApplicable, Rule
from gpuready.model.unknown import complete, known, members
from gpuready.rules.diagnose._hosts import Hosts, on_bus
from gpuready.rules.diagnose._objects import chosen, gpus, pointers


def find(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    """Where nothing points to GPUs there is nothing to judge: a cluster without GPUs is no broken one."""
    nodes = members(cluster.nodes)
    if any(gpus(node.allocatable) for node in nodes):
        return
    complete(cluster.nodes)
    if any(obj.kind == "ResourceSlice" for obj in known(cluster.dra)):
        return
    signs = pointers(cluster) or on_bus(cluster, hosts)
    if not signs:
        raise NotApplicable("nothing in this cluster points to GPUs: no label, no GPU stack, no pod that asks for one")
    plugins = [f"ds/{ds.key}" for ds in known(cluster.daemonsets) if chosen(ds)]
    yield Finding(
        at="cluster",
        says="no node offers a GPU",
        evidence=("no node has a GPU among its allocatable resources", *signs[:5]),
        next=f"see whether {plugins[0]} has pods on the GPU nodes, then read their logs" if plugins else "gpuready up",
    )


RULE = Rule(
    "no-gpu-offered",
    "diagnose",
    "fail",
    "No node offers a GPU",
    find,
    link="allocatable",
    symptom=True,
    because=(
        "gpu-node-taint-not-tolerated",
        "gpus-not-allocatable",
        "pod-security-blocks-privileged",
        "resource-quota-blocks-pods",
    ),
)
