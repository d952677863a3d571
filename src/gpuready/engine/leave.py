"""The way back: from what is ours to what was ours before. Uninstall goes to nothing, undo to the run's start."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from gpuready.components.native_agent.probes import clean_pod
from gpuready.engine.agents import agent_pods, offering, restarts, templates
from gpuready.engine.operator_leave import KIND as RELEASE
from gpuready.engine.operator_leave import install_again, uninstall_steps
from gpuready.engine.runtime_steps import KIND as RUNTIME_ENTRY
from gpuready.engine.runtime_steps import take_out
from gpuready.engine.silent import leave_out
from gpuready.model.digest import digest
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.journal import Inventory, Item
from gpuready.model.names import AGENT, AGENT_LABEL, AGENT_MANAGER, NAMESPACE, RESOURCE
from gpuready.model.plan import (
    Apply,
    Compensating,
    Delete,
    Exact,
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
NODES_AT_ONCE = 50  # pods that pull at the same moment, and nodes that are cleaned again where one of them failed


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

    Where agents are to go on by an older template, `cluster` tells their pods. `silent_nodes` are left out.
    """
    before = {i.ref: i for i in to.items}
    extra = [i for i in reversed(now.items) if i.ref not in before]
    nodes = [i for i in extra if i.ref.kind == "Node" and AGENT_POINTER in i.ours]
    leave = tuple(leave_nodes([i.ref.name for i in nodes], setup, now))
    changed = [s for i in now.items if (old := before.get(i.ref)) and (s := _back_to(old, i))]
    mended = [s for i in now.items if (old := before.get(i.ref)) and (s := _unmend(old, i))]
    moved = [old for i in now.items if (old := before.get(i.ref)) and _moved(old, i)]
    relabelled = [_label_again(old, _gpus(cluster)) for old in moved]
    missing = [_again(i) for i in to.items if now.item(i.ref) is None]
    stay = [i for i in extra if i.applied and not i.created]
    remove = [s for i in extra if i not in nodes and i not in stay and i.ref != NS for s in _removal(i, setup, cluster)]
    last = [_remove(i) for i in extra if i.ref == NS]
    skipped = [Skipped(target=str(i.ref), why="was there before; stays as updated") for i in stay]
    stages = [
        Stage(name="nodes", steps=leave),
        Stage(name="as before", steps=tuple(mended + changed + missing + relabelled + _restarts(changed, cluster))),
        Stage(name="objects", steps=tuple(remove + last)),
    ]
    plan = Plan(
        cluster_uid=cluster_uid,
        purpose=purpose,
        spec_digest=digest(setup),
        stages=tuple(s for s in stages if s.steps),
        skipped=tuple(skipped),
    )
    return leave_out(plan, silent_nodes, cluster)


def _restarts(changed: list[Step], cluster: ClusterFacts | None) -> list[Step]:
    """The agents of what is applied as it was before, each until its node offers again what it offers now."""
    if cluster is None:
        return []
    wanted = templates(s.action.object for s in changed if isinstance(s.action, Apply))
    return list(restarts(agent_pods(cluster), wanted, _gpus(cluster)))


def _gpus(cluster: ClusterFacts | None) -> dict[str, int]:
    """How many each node is known to have; empty where nobody looked."""
    return {} if cluster is None else {n.name: n.capacity.get(RESOURCE, 0) for n in known(cluster.nodes)}


def leave_nodes(nodes: Sequence[str], setup: Setup, inventory: Inventory) -> Iterator[Step]:
    """Take our agent off these nodes, then what it left there: files, labels, its condition.

    Side by side: a step of its own for each node's fields in the API, which takes no time, and one wait and one clean
    for all of up to NODES_AT_ONCE nodes. The steps before the wait tell the agents to end, those after it say that they
    have: where one does not, the executor passes over its node and finishes the others.
    """
    items = [i for n in nodes if (i := inventory.item(Ref(api_version="v1", kind="Node", name=n)))]
    for first in range(0, len(items), NODES_AT_ONCE):
        batch = items[first : first + NODES_AT_ONCE]
        names = [i.ref.name for i in batch]
        yield from _with_wait([_unlabel(i) for i in batch], "agents-gone", names, seconds=120)
        yield _clean(names, setup)
        yield from _with_wait([_release(i.ref) for i in batch], "gpus-withdrawn", names, seconds=30)


def _with_wait(steps: list[Step], until: str, nodes: Sequence[str], seconds: int) -> list[Step]:
    """The last step waits for all nodes: they become what is awaited at the same time."""
    wait = Wait(until=until, args={"nodes": ",".join(nodes)}, seconds=seconds)
    return [*steps[:-1], msgspec.structs.replace(steps[-1], wait=wait)]


def _unlabel(item: Item) -> Step:
    return Step(
        id=f"unlabel Node/{item.ref.name}",
        verb="unlabel",
        target=str(item.ref),
        action=Restore(item.ref, item.uid, item.ours, item.before),
        why="the agent leaves",
        interrupts="no new GPU pods there",
    )


def _clean(nodes: Sequence[str], setup: Setup) -> Step:
    return Step(
        id=f"clean {','.join(nodes)}",
        verb="clean",
        target=f"node/{nodes[0]}" if len(nodes) == 1 else f"{len(nodes)} nodes",
        action=Probe(kind="clean", pods={n: clean_pod(setup, n) for n in nodes}),
        why="files that the agent left there",
    )


def _release(ref: Ref) -> Step:
    return Step(
        id=f"release Node/{ref.name}",
        verb="release",
        target=str(ref),
        action=Release(ref, AGENT_MANAGER, ("status",)),
        why="labels and condition that the agent set",
    )


def _removal(item: Item, setup: Setup, cluster: ClusterFacts | None) -> Iterable[Step]:
    if item.ref.kind == RUNTIME_ENTRY:
        return (take_out(item, setup),)
    return uninstall_steps(item, cluster) if item.ref.kind == RELEASE else (_remove(item),)


def _remove(item: Item) -> Step:
    if not item.created:
        return Step(
            id=f"restore {item.ref.kind}/{item.ref.name}",
            verb="restore",
            target=str(item.ref),
            action=Restore(item.ref, item.uid, item.ours, item.before),
            why="its fields as they were before",
        )
    crd = item.ref.kind == "CustomResourceDefinition"
    return Step(
        id=f"delete {item.ref.kind}/{item.ref.name}",
        verb="delete",
        target=str(item.ref),
        action=Delete(item.ref, item.uid),
        why="created by gpuready" + (", with every object of its kind" if crd else ""),
        undo=Compensating("created again, without objects") if crd else Exact(),
    )


def _moved(old: Item, now: Item) -> bool:
    return any(now.ours.get(path) != value for path, value in old.ours.items())


def _unmend(old: Item, now: Item) -> Step | None:
    """Fields that a mend has set on an object of which something was ours before."""
    ours = {p: v for p, v in now.ours.items() if p not in old.ours}
    if not ours:
        return None
    return Step(
        id=f"restore fields of {now.ref.kind}/{now.ref.name}",
        verb="restore",
        target=str(now.ref),
        action=Restore(now.ref, now.uid, ours, {p: now.before.get(p) for p in ours}),
        why="its fields as they were before",
    )


def _back_to(old: Item, now: Item) -> Step | None:
    if old.applied == now.applied:
        return None
    if old.ref.kind == RELEASE:
        return install_again(old)
    return Step(
        id=f"reapply {old.ref.kind}/{old.ref.name}",
        verb="change",
        target=str(old.ref),
        action=Apply(old.applied),
        why="as it was applied before",
    )


def _again(item: Item) -> Step:
    if item.ref.kind == RELEASE:
        return install_again(item)
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
