"""From what ought to be and what is, to the plan: stages of steps, each with its reason, wait and way back. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gpuready.components.native_agent.component import Layout, namespace
from gpuready.components.native_agent.probes import compute_pod, look_pod
from gpuready.engine.agents import agent_pods, offering, restarts, templates
from gpuready.engine.design import Choice, Design, driven, gpus_of
from gpuready.engine.diff import changes
from gpuready.engine.leave import leave_nodes
from gpuready.model.digest import digest
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.journal import Inventory
from gpuready.model.names import AGENT, AGENT_LABEL, NAMESPACE
from gpuready.model.plan import (
    Apply,
    Compensating,
    Delete,
    DryRun,
    FieldChange,
    Patch,
    Plan,
    Probe,
    Ref,
    Skipped,
    Stage,
    Step,
    Wait,
    ref_of,
)
from gpuready.model.spec import Setup
from gpuready.model.unknown import Unknown, known

Json = dict[str, Any]
Observed = Mapping[Ref, Json | None]
NS = Ref(api_version="v1", kind="Namespace", name=NAMESPACE)
LABEL_PATH = f".metadata.labels[{AGENT_LABEL}]"


class World(msgspec.Struct, frozen=True, kw_only=True):
    """All that composing looks at."""

    setup: Setup
    cluster: ClusterFacts
    inventory: Inventory
    observed: Observed


APART = ("Node", "Release")  # nodes are among the cluster's facts, Helm's releases are no objects of the API


def refs_to_observe(wanted: Design, inventory: Inventory) -> tuple[Ref, ...]:
    """Every object whose present state composing needs; nodes are among the cluster's facts already."""
    refs = [NS, *(ref_of(o) for o in wanted.objects), *(i.ref for i in inventory.items if i.ref.kind not in APART)]
    return tuple(dict.fromkeys(refs))


Install = Callable[[Design, World, list[str]], list[Stage]]  # the list: what is as it should be


def compose(wanted: Design, world: World, install: Install | None = None) -> Plan:
    """The plan that makes the world as wanted. Without steps and pending stages when it is so already.

    `install`: the stages after the look, where they are not the native agent's.
    """
    choice = wanted.choice
    stages = [Stage(name="look", steps=_look_steps(choice, world))]
    unchanged: list[str] = []
    if choice.to_look:
        stages.append(Stage(name="install", pending=f"needs the look at {_few(choice.to_look)}"))
    else:
        stages += (install or _install_stages)(wanted, world, unchanged)
    skipped = choice.skipped + tuple(
        Skipped(target=f"node/{n.name}", why="no NVIDIA GPU on its PCI bus")
        for n in choice.nodes
        if n.name in choice.looks and not gpus_of(choice.looks[n.name])
    )
    return Plan(
        cluster_uid=world.cluster.identity.uid,
        purpose="up",
        spec_digest=digest(world.setup),
        stages=tuple(s for s in stages if s.steps or s.pending),
        values=wanted.values,
        skipped=skipped,
        unchanged=tuple(unchanged),
    )


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{', '.join(names[:3])} and {len(names) - 3} more nodes"


def namespace_steps(world: World) -> list[Step]:
    live = world.observed.get(NS)
    ours = world.inventory.item(NS)
    want = namespace()
    diff = changes(want, live)
    if not diff:
        return []
    why = "for the privileged agent and short-lived probes"
    if live is None:
        return [step("create", Apply(want), why, live, diff)]
    action = Apply(want) if ours and ours.created else Patch(want)
    return [step("change", action, "Pod Security must allow the privileged agent", live, diff)]


def step(
    verb: str,
    action: Apply | Patch,
    why: str,
    live: Json | None,
    diff: tuple[FieldChange, ...],
    wait: Wait | None = None,
) -> Step:
    ref = ref_of(action.object)
    return Step(
        id=f"{verb} {ref.kind}/{ref.name}",
        verb=verb,
        target=str(ref),
        action=action,
        why=why,
        wait=wait,
        expects=digest([c.before for c in diff]) if live is not None else None,
        changes=diff,
    )


def _look_steps(choice: Choice, world: World) -> tuple[Step, ...]:
    if not choice.to_look:
        return ()
    container_roots = _driver_container_nodes(world.cluster)
    pods = {n: look_pod(world.setup, n, driver_container=n in container_roots) for n in choice.to_look}
    look = Step(
        id=f"look at {','.join(choice.to_look)}"[:200],
        verb="look",
        target=f"node/{choice.to_look[0]}" if len(pods) == 1 else f"{len(pods)} nodes",
        action=Probe(kind="look", pods=pods),
        why=f"which have a GPU and a driver: {_few(choice.to_look)}",
        interrupts="nothing",
    )
    return (*namespace_steps(world), look)


def _driver_container_nodes(cluster: ClusterFacts) -> set[str]:
    """Nodes on which a driver container runs: only there does /run/nvidia exist for certain."""
    pods = () if isinstance(cluster.pods, Unknown) else cluster.pods
    return {p.node for p in pods if "nvidia-driver" in p.owner or p.labels.get("app") == "nvidia-driver-daemonset"}


def _install_stages(wanted: Design, world: World, unchanged: list[str]) -> list[Stage]:
    if not wanted.layouts:
        return []
    install = [*namespace_steps(world), *_admission_checks(wanted, world)]
    for obj in wanted.objects:
        found = _object_step(obj, world)
        if found is None:
            unchanged.append(str(ref_of(obj)))
        else:
            install.append(found)
    arrivals = [n for n in sorted(wanted.layouts) if not _labelled(n, wanted.layouts[n], world)]
    restarts = _restarts(wanted, world)
    unchanged += [f"node/{n}" for n in sorted(wanted.layouts) if n not in arrivals]
    gone = stale_nodes(wanted, world)
    moves = [_arrive(n, wanted, world) for n in arrivals] + restarts
    return [
        Stage(name="leave", steps=tuple(leave_nodes(gone, world.setup, world.inventory))),
        Stage(name="install", steps=tuple(install)),
        *_roll_out(moves, wanted, world),
        Stage(name="tidy", steps=tuple(_stale_objects(wanted, world))),
    ]


def _admission_checks(wanted: Design, world: World) -> list[Step]:
    """Ask the API server whether it would admit the agent's pod, before the DaemonSet is there to fail silently."""
    out = []
    for obj in wanted.objects:
        if obj["kind"] != "DaemonSet" or not changes(obj, world.observed.get(ref_of(obj))):
            continue
        template = obj["spec"]["template"]
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], "name": f"{AGENT}-check", "namespace": NAMESPACE},
            # the service account does not exist yet; it has no part in what admission is asked about
            "spec": {k: v for k, v in template["spec"].items() if k != "serviceAccountName"},
        }
        out.append(
            Step(
                id=f"check pod of {obj['metadata']['name']}",
                verb="check",
                target="pod admission",
                action=DryRun(pod),
                why="Pod Security, policies, webhooks and quota must admit the agent",
            )
        )
    return out[:1]


def _object_step(obj: Json, world: World) -> Step | None:
    ref = ref_of(obj)
    live = world.observed.get(ref)
    diff = changes(obj, live)
    if not diff:
        return None
    verb = "create" if live is None else "change"
    why = WHY[obj["kind"]]
    return step(verb, Apply(obj), why, live, diff)


WHY = {
    "ServiceAccount": "identity of the agent",
    "ClusterRole": "the agent labels its node and reports health",
    "ClusterRoleBinding": "the agent labels its node and reports health",
    "PriorityClass": "probes preempt nobody and add no nodes",
    "ValidatingAdmissionPolicy": "confines the agent to its own node",
    "ValidatingAdmissionPolicyBinding": "confines the agent to its own node",
    "DaemonSet": "device plugin, labels, metrics, health",
}


def _labelled(node: str, layout: Layout, world: World) -> bool:
    return _label(node, world) == layout.slug


def _label(node: str, world: World) -> str | None:
    nodes = known(world.cluster.nodes)
    return next((n.labels.get(AGENT_LABEL) for n in nodes if n.name == node), None)


def _arrive(node: str, wanted: Design, world: World) -> Step:
    layout = wanted.layouts[node]
    obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": {AGENT_LABEL: layout.slug}}}
    gpus = driven(wanted.choice.looks[node])
    before = _label(node, world)
    change = FieldChange(path=LABEL_PATH, before=before, after=layout.slug)
    return Step(
        id=f"label Node/{node} {layout.slug}",
        verb="label",
        target=f"node/{node}",
        action=Patch(obj),
        why=f"its agent is to be another than {before}"
        if before
        else f"{gpus} GPU{'s' if gpus > 1 else ''} and no plugin",
        interrupts="new GPU pods there for seconds" if before else "nothing",
        wait=offering(node, gpus, layout.daemonset),
        expects=digest([change.before]),
        changes=(change,),
    )


def _restarts(wanted: Design, world: World) -> list[Step]:
    """A pod that its node's label is about to move to another DaemonSet needs none."""
    owner = {node: f"ds/{layout.daemonset}" for node, layout in wanted.layouts.items()}
    pods = [p for p in agent_pods(world.cluster) if owner.get(p.node) == p.owner]
    gpus = {node: driven(wanted.choice.looks[node]) for node in wanted.layouts}
    return list(restarts(pods, templates(wanted.objects), gpus))


def _roll_out(moves: list[Step], wanted: Design, world: World) -> list[Stage]:
    """One node, proved by computing on its GPUs, then the others one after the other."""
    if not moves:
        return []
    first, rest = moves[0], moves[1:]
    node = (first.wait.args["node"]) if first.wait else ""
    proof: tuple[Step, ...] = ()
    if node and not held(node, world):
        proof = (_proof(node, wanted, world),)
    return [Stage(name="first node", steps=(first, *proof)), Stage(name="other nodes", steps=tuple(rest))]


def held(node: str, world: World) -> bool:
    pods = known(world.cluster.pods)
    return any(p.node == node and any(c.requests for c in p.containers) and p.phase == "Running" for p in pods)


def _proof(node: str, wanted: Design, world: World) -> Step:
    gpus = driven(wanted.choice.looks[node])
    nonce = digest([world.cluster.identity.uid, node, wanted.layouts[node], world.setup])
    return Step(
        id=f"compute on {node}",
        verb="compute",
        target=f"node/{node}",
        action=Probe(kind="compute", pods={node: compute_pod(world.setup, node, gpus, nonce)}, nonce=nonce),
        why="proves the first node before the others follow",
        interrupts=f"holds its {gpus} GPU{'s' if gpus > 1 else ''} for seconds",
    )


def stale_nodes(wanted: Design, world: World) -> list[str]:
    """Nodes that carry our label by our doing and are not meant any more."""
    ours = [i.ref.name for i in world.inventory.items if i.ref.kind == "Node"]
    return [n for n in ours if n not in wanted.layouts]


def _stale_objects(wanted: Design, world: World) -> list[Step]:
    keep = {ref_of(o) for o in wanted.objects} | {NS}
    out = []
    for item in world.inventory.items:
        live = world.observed.get(item.ref)
        if item.ref.kind == "Node" or item.ref in keep or not item.created or live is None:
            continue
        out.append(
            Step(
                id=f"delete {item.ref.kind}/{item.ref.name}",
                verb="delete",
                target=str(item.ref),
                action=Delete(item.ref, item.uid),
                why="not wanted any more",
                undo=Compensating("applied again as it was"),
            )
        )
    return out
