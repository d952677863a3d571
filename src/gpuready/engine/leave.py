"""The way back: from what is ours to what was ours before. Uninstall goes to nothing, undo to the run's start."""

from __future__ import annotations

from collections.abc import Collection

from gpuready.components.native_agent.probes import clean_pod
from gpuready.model.digest import digest
from gpuready.model.journal import Inventory, Item
from gpuready.model.names import AGENT_MANAGER, NAMESPACE
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

NS = Ref(api_version="v1", kind="Namespace", name=NAMESPACE)


def go_back(
    now: Inventory, to: Inventory, *, setup: Setup, cluster_uid: str, purpose: str, silent_nodes: Collection[str] = ()
) -> Plan:
    """The plan that takes the cluster from inventory `now` to inventory `to`.

    `silent_nodes` do not answer: their API fields are taken back, what lies on them stays undetermined and is said.
    """
    before = {i.ref: i for i in to.items}
    extra = [i for i in reversed(now.items) if i.ref not in before]
    nodes = [i for i in extra if i.ref.kind == "Node"]
    leave = [s for i in nodes for s in leave_node(i.ref.name, setup, now, i.ref.name in silent_nodes)]
    changed = [s for i in now.items if (old := before.get(i.ref)) and (s := _back_to(old, i))]
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
        Stage(name="as before", steps=tuple(changed + missing)),
        Stage(name="objects", steps=tuple(remove + last)),
    ]
    return Plan(
        cluster_uid=cluster_uid,
        purpose=purpose,
        spec_digest=digest(setup),
        stages=tuple(s for s in stages if s.steps),
        skipped=tuple(skipped),
    )


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
    obj = item.applied or {
        "apiVersion": item.ref.api_version,
        "kind": item.ref.kind,
        "metadata": {"name": item.ref.name, "labels": {_label(p): v for p, v in item.ours.items()}},
    }
    return Step(
        id=f"again {item.ref.kind}/{item.ref.name}",
        verb="create" if item.applied else "label",
        target=str(item.ref),
        action=Apply(obj) if item.applied else Patch(obj),
        why="it was ours before",
    )


def _label(pointer: str) -> str:
    return pointer.removeprefix("/metadata/labels/").replace("~1", "/").replace("~0", "~")
