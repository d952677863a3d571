"""The DaemonSet learns to tolerate the taint: ours by its spec, somebody else's by a field of its pod template."""

from __future__ import annotations

import msgspec

from gpuready.model.facts.cluster import ClusterFacts, DaemonSet, Taint
from gpuready.model.journal import Inventory
from gpuready.model.names import NAMESPACE
from gpuready.model.placement import untolerated
from gpuready.model.plan import Edit, Ref, Step, Wait
from gpuready.model.remedy import Answer, ByHand, Mend, Remedy, Respec
from gpuready.model.rule import Finding
from gpuready.model.spec import Setup, Toleration
from gpuready.model.unknown import known

POINTER = "/spec/template/spec/tolerations"


def mend(finding: Finding, cluster: ClusterFacts, inventory: Inventory) -> Answer:
    kind, _, key = finding.at.partition("/")
    found = next((ds for ds in known(cluster.daemonsets) if kind == "ds" and ds.key == key), None)
    if found is None:
        return ByHand(because="who may go to a tainted node is for its owner to say", do=finding.next)
    meant = [n for n in known(cluster.nodes) if n.name in finding.nodes]
    taints = tuple(dict.fromkeys(t for node in meant for t in untolerated(found.placement, node)))
    if found.namespace == NAMESPACE and inventory.setup is not None:
        return _ours(inventory.setup, taints)
    return Mend(steps=(_theirs(found, taints),))


def _ours(setup: Setup, taints: tuple[Taint, ...]) -> Respec:
    more = [
        Toleration(key=t.key, operator="Equal" if t.value else "Exists", value=t.value, effect=t.effect)  # type: ignore[arg-type]
        for t in taints
    ]
    wanted = (*setup.nodes.tolerations, *(t for t in more if t not in setup.nodes.tolerations))
    nodes = msgspec.structs.replace(setup.nodes, tolerations=wanted)
    shown = ", ".join(_shown(t) for t in wanted)
    return Respec(setup=msgspec.structs.replace(setup, nodes=nodes), path="nodes.tolerations", value=f"[{shown}]")


def _shown(t: Toleration) -> str:
    value = f"operator: Equal, value: {t.value}" if t.operator == "Equal" else "operator: Exists"
    return f"{{key: {t.key}, {value}{f', effect: {t.effect}' if t.effect else ''}}}"


def _theirs(found: DaemonSet, taints: tuple[Taint, ...]) -> Step:
    ref = Ref(api_version="apps/v1", kind="DaemonSet", name=found.name, namespace=found.namespace)
    return Step(
        id=f"tolerate DaemonSet/{found.key}",
        verb="change",
        target=f"ds/{found.key}",
        action=Edit(ref, add={POINTER: tuple(_toleration(t) for t in taints)}),
        why=f"tolerates {', '.join(map(str, taints))}; write it into its chart's values too",
        interrupts="its pods start again, node by node",
        wait=Wait(until="daemonset-ready", args={"daemonset": found.key}, seconds=180),
    )


def _toleration(taint: Taint) -> dict[str, str]:
    if taint.value:
        return {"key": taint.key, "operator": "Equal", "value": taint.value, "effect": taint.effect}
    return {"key": taint.key, "operator": "Exists", "effect": taint.effect}


REMEDY = Remedy(
    "gpu-node-taint-not-tolerated",
    mend,
    does="makes the DaemonSet tolerate the taint: ours by the spec, somebody else's in its pod template",
    by_hand="where a pod or another workload is kept off, its owner adds the toleration; gpuready doctor shows"
    " that it worked",
)
