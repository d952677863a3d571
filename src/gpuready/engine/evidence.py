"""Gathers what a diagnosis rests on: the cluster's objects, then the logs of the pods that these make suspect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from gpuready.engine.gather import gather
from gpuready.engine.hosts import faults_told, read_machines
from gpuready.engine.statements import statements
from gpuready.knowledge.speakers import family
from gpuready.model.errors import NotFound, UserError
from gpuready.model.facts.agent import AgentReport
from gpuready.model.facts.cluster import ClusterFacts, ContainerUse, DaemonSet, Identity, Pod
from gpuready.model.facts.said import Line, Said
from gpuready.model.names import AGENT_EVENTS
from gpuready.model.ports import Source
from gpuready.model.redact import redact
from gpuready.model.unknown import Partial, Unknown, members
from gpuready.texts.logline import ANSI, statement

TAIL = 200  # lines of one log
MOST_LOGS = 60  # logs read in one diagnosis
STACKS = ("clusterpolicy", "nvidiadriver", "gpucluster")
NOT_GPU = frozenset({"", "kubelet", "scheduler", "apiserver", "runtime", "kernel", "helm"})


def read_evidence(
    source: Source,
    identity: Identity,
    *,
    probed: Mapping[str, str | UserError] | None = None,
    now: Callable[[], str] = str,
) -> dict[str, Any]:
    """The facts that rules of layer `diagnose` take.

    `probed`: what the probe of a node printed (engine/host_probes.py). `now`: the clock with which nodes' are compared.
    """
    cluster = gather(source, identity, doctor=True)
    machines = read_machines(source, cluster, probed or {}, now)
    told, missing = statements(_without_superseded(cluster, machines.agents))
    lines = concerning_gpus(cluster, (*told, *faults_told(machines.agents)))
    wanted = list(wanted_logs(cluster))
    unread = [_read_log(source, *one) for one in wanted[:MOST_LOGS]]
    logs = [line for one in unread if not isinstance(one, Unknown) for line in one]
    gaps = [one for one in unread if isinstance(one, Unknown)]
    if len(wanted) > MOST_LOGS:
        gaps.append(
            Unknown(f"{len(wanted) - MOST_LOGS} more logs of failing pods were not read", "gpuready why pod/NAME")
        )
    said = Said(lines=tuple(map(_redacted, (*lines, *logs))), missing=tuple(dict.fromkeys([*missing, *gaps])))
    return {"cluster": cluster, "said": said, "agents": machines.agents, "hosts": machines.hosts}


def _without_superseded(cluster: ClusterFacts, agents: Mapping[str, AgentReport | Unknown]) -> ClusterFacts:
    """What an agent had said of its GPUs gives way to what it says now: an event outlives a fault that is over."""
    if isinstance(cluster.events, Unknown | Partial):
        return cluster
    now = {
        f"node/{node}"
        for node, agent in agents.items()
        if isinstance(agent, AgentReport) and not isinstance(agent.gpus, Unknown)
    }
    kept = tuple(e for e in cluster.events if not (e.component == AGENT_EVENTS and e.about in now))
    return msgspec.structs.replace(cluster, events=kept)


def _redacted(line: Line) -> Line:
    text = redact(line.text)
    return line if text == line.text else msgspec.structs.replace(line, text=text)


def concerning_gpus(cluster: ClusterFacts, lines: Iterable[Line]) -> list[Line]:
    """What was said of the GPU stack, of pods that want GPUs, and of their nodes: the rest is not our patient."""
    pods = () if isinstance(cluster.pods, Unknown) else members(cluster.pods)
    ours = {f"pod/{pod.key}" for pod in pods if concerns_gpus(pod)}
    others = {f"pod/{pod.key}" for pod in pods} - ours
    well = {f"pod/{pod.key}" for pod in pods if pod.phase in ("Running", "Succeeded") and not in_trouble(pod)}
    daemonsets = () if isinstance(cluster.daemonsets, Unknown) else members(cluster.daemonsets)
    well |= {f"daemonset/{ds.key}" for ds in daemonsets if 0 < ds.desired <= ds.ready}
    all_pods = None if isinstance(cluster.pods, Unknown | Partial) else ours | others
    ill = {_part(pod) for pod in pods if in_trouble(pod)} | {_part(ds) for ds in daemonsets if ds.ready < ds.desired}
    nodes = gpu_nodes(cluster, pods)

    def kept(line: Line) -> bool:
        kind, _, name = line.about.partition("/")
        namespace, _, own = name.rpartition("/")
        of_stack = family(own) not in NOT_GPU
        if kind == "node":
            return not nodes or name in nodes
        if line.who == "operator" and kind in STACKS:
            return True
        gone = kind == "pod" and all_pods is not None and line.about not in all_pods
        if gone and of_stack:  # whoever came in its place may fail in the same way, and have said less by now
            gone = (namespace, family(own)) not in ill
        if line.source == "event" and (gone or line.about in well):
            return False  # it was in trouble, and is not any more: events outlive what they tell of by an hour
        if line.about in ours or line.about in others:
            return line.about in ours
        return of_stack or "nvidia.com/" in line.text

    return [line for line in lines if kept(line)]


def _part(one: Pod | DaemonSet) -> tuple[str, str]:
    return one.namespace, family(one.name)


def gpu_nodes(cluster: ClusterFacts, pods: Iterable[Pod]) -> frozenset[str]:
    """Nodes that offer GPUs, are labelled as having them, or run a part of the stack; empty where none is known."""
    nodes = () if isinstance(cluster.nodes, Unknown) else members(cluster.nodes)
    known_by_self = {n.name for n in nodes if any(key.startswith("nvidia.com/") for key in (*n.capacity, *n.labels))}
    return frozenset(known_by_self | {pod.node for pod in pods if pod.node and concerns_gpus(pod)})


def wanted_logs(cluster: ClusterFacts) -> Iterator[tuple[Pod, ContainerUse, bool]]:
    """(pod, container, previous) wherever something of the GPU stack, or a pod that wants a GPU, is in trouble."""
    if isinstance(cluster.pods, Unknown):
        return
    for pod in members(cluster.pods):
        if pod.node and concerns_gpus(pod) and in_trouble(pod):
            for container in pod.containers:
                if not container.restarts and (not container.state or container.state.startswith("waiting")):
                    continue  # it has never run
                if not container.ready or container.init:
                    yield pod, container, False
                if container.restarts:
                    yield pod, container, True


def concerns_gpus(pod: Pod) -> bool:
    """It asks for GPUs in one of the ways there are, or is a part of the stack."""
    asks = any(name.startswith("nvidia.com/") for c in pod.containers for name in c.requests)
    other_ways = pod.claims or pod.runtime_class.startswith("nvidia") or any(c.visible_devices for c in pod.containers)
    return (
        asks
        or bool(other_ways)
        or any(family(name) not in NOT_GPU for name in (pod.name, *(c.name for c in pod.containers)))
    )


def in_trouble(pod: Pod) -> bool:
    """Neither done nor ready; a pod whose containers were started again counts too."""
    if pod.phase == "Succeeded":
        return False
    return pod.phase != "Running" or any((not c.ready and not c.init) or c.restarts for c in pod.containers)


def _read_log(source: Source, pod: Pod, container: ContainerUse, previous: bool) -> Iterable[Line] | Unknown:
    try:
        text = source.logs(pod.namespace, pod.name, container=container.name, previous=previous, tail=TAIL)
    except NotFound:
        return ()  # the pod is gone, or the kubelet keeps no former log
    except UserError as error:
        return Unknown(f"the log of pod/{pod.key}, container {container.name}: {error.what}"[:300], error.next)
    return tuple(log_lines(redact(ANSI.sub("", text)), pod, container, previous))  # whole: a key has many lines


def log_lines(text: str, pod: Pod, container: ContainerUse, previous: bool) -> Iterator[Line]:
    """Each different sentence once: the last time that it was said."""
    who = family(container.name) or family(pod.name) or "workload"
    where = f"log of pod/{pod.key}, container {container.name}{' (previous)' if previous else ''}"
    said = {found.text: found for raw in text.splitlines() if (found := statement(raw)).text}
    for found in said.values():
        yield Line(
            text=found.text,
            source="kernel" if found.source == "kernel" else "log",
            who=found.who or who,
            about=f"pod/{pod.key}",
            node=pod.node,
            where=where,
            at=found.at,
        )
