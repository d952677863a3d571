"""A way back past nodes that do not answer: what only they could do stays undone, and is said."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import msgspec

from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.names import NAMESPACE
from gpuready.model.plan import Delete, Plan, Probe, Ref, Release, Restore, RuntimeEntry, Skipped, Step, Wait
from gpuready.model.unknown import known


def leave_out(plan: Plan, silent: Collection[str], cluster: ClusterFacts | None) -> Plan:
    """Their fields in the API are taken back; nothing is awaited of them, and no pod is sent there.

    Our pods on those that are not Ready would end in the API only when the node came back, and our namespace with
    them: they are removed there at once, after the nodes' labels. UserError for a node that the plan is not about.
    """
    if not silent:
        return plan
    if strangers := sorted(set(silent) - set(_nodes(plan))):
        raise UserError(
            f"{', '.join(f'node/{n}' for n in strangers)} is no node that this would clean",
            f"it cleans {', '.join(sorted(set(_nodes(plan)))) or 'none'}",
        )
    stages = []
    for stage in plan.stages:
        steps = [left for step in stage.steps if (left := _without(step, silent))]
        if stage.name == "nodes":
            there = {step.id for step in steps}
            steps += [step for pod in _lost_pods(cluster, silent) if (step := _forget(pod)).id not in there]
        stages.append(msgspec.structs.replace(stage, steps=tuple(steps)))
    told = [
        Skipped(target=f"node/{n}", why="left as it is: files of ours on it are undetermined") for n in sorted(silent)
    ]
    skipped = (*(s for s in plan.skipped if s not in told), *told)
    return msgspec.structs.replace(plan, stages=tuple(s for s in stages if s.steps), skipped=skipped)


def _nodes(plan: Plan) -> Iterator[str]:
    for step in plan.steps:
        match step.action:
            case Probe(pods=pods):
                yield from pods
            case RuntimeEntry(node=node):
                yield node
            case Restore(ref=ref) | Release(ref=ref) if ref.kind == "Node":
                yield ref.name


def _awaited(wait: Wait | None) -> list[str]:
    return wait.args["nodes"].split(",") if wait and "nodes" in wait.args else []


def _without(step: Step, silent: Collection[str]) -> Step | None:
    """The step keeps its id: what the journal says of it stays true of the other nodes."""
    wait = step.wait
    if nodes := _awaited(wait):
        left = ",".join(n for n in nodes if n not in silent)
        assert wait is not None
        wait = msgspec.structs.replace(wait, args={**wait.args, "nodes": left}) if left else None
    match step.action:
        case RuntimeEntry(node=node) if node in silent:
            return None
        case Probe(pods=all_pods) if not set(silent).isdisjoint(all_pods):
            pods = {n: pod for n, pod in all_pods.items() if n not in silent}
            if not pods:
                return None
            target = f"node/{next(iter(pods))}" if len(pods) == 1 else f"{len(pods)} nodes"
            action = msgspec.structs.replace(step.action, pods=pods)
            return msgspec.structs.replace(step, action=action, target=target, wait=wait)
    return msgspec.structs.replace(step, wait=wait)


def _lost_pods(cluster: ClusterFacts | None, silent: Collection[str]) -> list[Pod]:
    """Ours on those of them that are not Ready. On one that is, the kubelet ends them as ever."""
    if cluster is None:
        return []
    lost = {n.name for n in known(cluster.nodes) if n.name in silent and n.ready is not True}
    return [p for p in known(cluster.pods) if p.namespace == NAMESPACE and p.node in lost]


def _forget(pod: Pod) -> Step:
    ref = Ref(api_version="v1", kind="Pod", name=pod.name, namespace=NAMESPACE)
    return Step(
        id=f"forget Pod/{pod.name}",
        verb="delete",
        target=f"pod/{pod.name}",
        action=Delete(ref, pod.uid, forced=True),
        why=f"node/{pod.node} is not Ready: out of the API at once; it ends there when its kubelet is back",
    )
