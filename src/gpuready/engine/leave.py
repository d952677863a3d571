"""The way back: from what is ours to what was ours before. Uninstall goes to nothing, undo to the run's start."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from gpuready.components.native_agent.probes import clean_pod
from gpuready.engine.agents import agent_pods, offering, restarts, templates
from gpuready.model.digest import digest
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.journal import Inventory, Item
from gpuready.model.names import AGENT, AGENT_LABEL, AGENT_MANAGER, NAMESPACE, RESOURCE
from gpuready.model.plan import (
    Apply,
    Delete,
    Patch,
    Plan,
    Probe,
    Ref,
    Release,
    Restore,
    Skipped,
    Stage,
    Step,
    Wait,
)
from gpuready.model.spec import Setup
from gpuready.model.unknown import known

AGENT_POINTER = "/metadata/labels/" + AGENT_LABEL.replace("/", "~1")
NS = Ref(api_version="v1", kind="Namespace", name=NAMESPACE)


def go_back(
    now: Inventory,
    to: Inventory,
    *,
    setup: Setup,
    cluster_uid: str,
    purpose: str,
    cluster: ClusterFacts | None = None,
    silent_nodes: Collection[str] = (),
) -> Plan:
    """The plan that takes the cluster from inventory `now` to inventory `to`.

    Where agents are to go on by an older template, `cluster` tells their pods.
    `silent_nodes` do not answer: their API fields are taken back, what lies on them stays undetermined and is said.
    """
    before = {i.ref: i for i in to.items}
    extra = [i for i in reversed(now.items) if i.ref not in before]
    nodes = [i for i in extra if i.ref.kind == "Node"]
    leave = [s for i in nodes for s in leave_node(i.ref.name, setup, now, i.ref.name in silent_nodes)]
    changed = [s for i in now.items if (old := before.get(i.ref)) and (s := _back_to(old, i))]
    moved = [old for i in now.items if (old := before.get(i.ref)) and old.ours != i.ours]
    relabelled = [_label_again(old, _gpus(cluster)) for old in moved]
    missing = [_again(i) for i in to.items if now.item(i.ref) is None]
    remove = [_remove(i) for i in extra if i.ref.kind != "Node" and i.ref != NS]
    last = [_remove(i) for i in extra if i.ref == NS]
    skipped = [
        Skipped(target=f"node/{n}", why="does not answer: files of ours on it are undetermined")
        for n in sorted(silent_nodes)
        if any(i.ref.name == n for i in nodes)
    ]
    stages = [
        Stage(name="nodes", steps=tuple(leave)),
        Stage(name="as before", steps=tuple(changed + missing + relabelled + _restarts(changed, cluster))),
        Stage(name="objects", steps=tuple(remove + last)),
    ]
    return Plan(
        cluster_uid=cluster_uid,
        purpose=purpose,
        spec_digest=digest(setup),
        stages=tuple(s for s in stages if s.steps),
        skipped=tuple(skipped),
    )


def _restarts(changed: list[Step], cluster: ClusterFacts | None) -> list[Step]:
    """The agents of what is applied as it was before, each until its node offers again what it offers now."""
    if cluster is None:
        return []
    wanted = templates(s.action.object for s in changed if isinstance(s.action, Apply))
    return list(restarts(agent_pods(cluster), wanted, _gpus(cluster)))


def _gpus(cluster: ClusterFacts | None) -> dict[str, int]:
    """How many each node is known to have; empty where nobody looked."""
    return {} if cluster is None else {n.name: n.capacity.get(RESOURCE, 0) for n in known(cluster.nodes)}


def leave_node(node: str, setup: Setup, inventory: Inventory, silent: bool = False) -> tuple[Step, ...]:
    """Take our agent off a node, then what it left there: files, labels, its condition."""
    ref = Ref(api_version="v1", kind="Node", name=node)
    item = inventory.item(ref)
    if item is None:
        return ()
    release = Step(
        id=f"release Node/{node}",
        verb="release",
        target=str(ref),
        action=Release(ref, AGENT_MANAGER, ("status",)),
        why="labels and condition that the agent set",
        wait=None if silent else Wait(until="gpus-withdrawn", args={"node": node}, seconds=30),
    )
    unlabel = Step(
        id=f"unlabel Node/{node}",
        verb="unlabel",
        target=str(ref),
        action=Restore(ref, item.uid, item.ours, item.before),
        why="the agent leaves",
        interrupts="no new GPU pods there",
        wait=None if silent else Wait(until="agent-gone", args={"node": node}, seconds=120),
    )
    if silent:
        return unlabel, release
    clean = Step(
        id=f"clean Node/{node}",
        verb="clean",
        target=str(ref),
        action=Probe(kind="clean", pods={node: clean_pod(setup, node)}),
        why="files that the agent left on the node",
    )
    return unlabel, clean, release


def _remove(item: Item) -> Step:
    if not item.created:
        return Step(
            id=f"restore {item.ref.kind}/{item.ref.name}",
            verb="restore",
            target=str(item.ref),
            action=Restore(item.ref, item.uid, item.ours, item.before),
            why="its fields as they were before",
        )
    return Step(
        id=f"delete {item.ref.kind}/{item.ref.name}",
        verb="delete",
        target=str(item.ref),
        action=Delete(item.ref, item.uid),
        why="created by gpuready",
    )


def _back_to(old: Item, now: Item) -> Step | None:
    if old.applied == now.applied:
        return None
    return Step(
        id=f"reapply {old.ref.kind}/{old.ref.name}",
        verb="change",
        target=str(old.ref),
        action=Apply(old.applied),
        why="as it was applied before",
    )


def _again(item: Item) -> Step:
    return Step(
        id=f"again {item.ref.kind}/{item.ref.name}",
        verb="create" if item.applied else "label",
        target=str(item.ref),
        action=Apply(item.applied) if item.applied else Patch(_labels_of(item)),
        why="it was ours before",
    )


def _label_again(item: Item, gpus: Mapping[str, int]) -> Step:
    """The labels that we had set there before; where one chooses the agent, that one's GPUs are awaited."""
    slug, node = item.ours.get(AGENT_POINTER), item.ref.name
    return Step(
        id=f"label again {item.ref.kind}/{node}",
        verb="label",
        target=str(item.ref),
        action=Patch(_labels_of(item)),
        why="as it was before",
        interrupts="new GPU pods there for seconds" if slug else "nothing",
        wait=offering(node, gpus.get(node, 0), f"{AGENT}-{slug}") if slug else None,
    )


def _labels_of(item: Item) -> dict[str, Any]:
    labels = {_label(p): v for p, v in item.ours.items()}
    kind = {"apiVersion": item.ref.api_version, "kind": item.ref.kind}
    return {**kind, "metadata": {"name": item.ref.name, "labels": labels}}


def _label(pointer: str) -> str:
    return pointer.removeprefix("/metadata/labels/").replace("~1", "/").replace("~0", "~")
