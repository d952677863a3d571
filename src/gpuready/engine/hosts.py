"""The state of machines, for a diagnosis: what our agents answer at /gpus and /host, and what probes printed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

import msgspec

from gpuready.engine.agents import agent_pods
from gpuready.model.errors import NotFound, UserError
from gpuready.model.facts.agent import AgentReport, Gpu
from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.facts.host import HostFacts
from gpuready.model.facts.said import Line
from gpuready.model.names import NAMESPACE
from gpuready.model.ports import Source
from gpuready.model.redact import redact
from gpuready.model.spec import Agent
from gpuready.model.unknown import Unknown, members
from gpuready.rules.diagnose._hosts import ASK, in_question

R = TypeVar("R", AgentReport, HostFacts)
MOST_AGENTS = 50  # asked in one diagnosis, those of nodes in question first


class Machines(NamedTuple):
    """By node. A node of which nobody can tell anything is in neither."""

    agents: dict[str, AgentReport | Unknown]
    hosts: dict[str, HostFacts | Unknown]


def read_machines(
    source: Source, cluster: ClusterFacts, probed: Mapping[str, str | UserError], now: Callable[[], str]
) -> Machines:
    """`probed`: what the probe of a node printed, or why there is none. `now`: the asker's clock, RFC 3339."""
    agents: dict[str, AgentReport | Unknown] = {}
    hosts: dict[str, HostFacts | Unknown] = {}
    ports = _ports(cluster)
    for number, pod in enumerate(_in_order(cluster)):
        if number >= MOST_AGENTS:
            agents[pod.node] = hosts[pod.node] = Unknown(f"only the first {MOST_AGENTS} agents were asked", ASK)
            continue
        port = ports.get(pod.owner, Agent().metrics_port)
        report = _ask(source, pod, port, "/gpus", AgentReport)
        agents[pod.node] = report if isinstance(report, Unknown) else without_ended(report, cluster)
        facts = _ask(source, pod, port, "/host", HostFacts)
        hosts[pod.node] = facts if isinstance(facts, Unknown) else msgspec.structs.replace(facts, asked_at=now())
    for node, answer in probed.items():
        hosts[node] = _more(parsed(node, answer), hosts.get(node))
    return Machines(agents, hosts)


def _in_order(cluster: ClusterFacts) -> Iterable[Pod]:
    if isinstance(cluster.pods, Unknown) or isinstance(cluster.nodes, Unknown):
        return ()
    pods = agent_pods(msgspec.structs.replace(cluster, pods=members(cluster.pods)))
    first = in_question(cluster, {})
    return sorted((p for p in pods if p.node and not p.terminating), key=lambda p: (p.node not in first, p.node))


def _ports(cluster: ClusterFacts) -> dict[str, int]:
    """By the owner of the pods, from the agent's own arguments."""
    found = {}
    for ds in () if isinstance(cluster.daemonsets, Unknown) else members(cluster.daemonsets):
        port = next((a.rpartition(":")[2] for a in ds.args if a.startswith("--listen=")), "")
        if ds.namespace == NAMESPACE and port.isascii() and port.isdigit():
            found[f"ds/{ds.name}"] = int(port[:5])
    return found


def _ask(source: Source, pod: Pod, port: int, path: str, kind: type[R]) -> R | Unknown:
    logs = f"kubectl logs -n {NAMESPACE} {pod.name}"
    try:
        answer = redact(source.proxy_get(NAMESPACE, pod.name, port, path).decode("utf-8", "replace"))
        report = msgspec.json.decode(answer, type=kind)
    except NotFound:
        return Unknown(f"pod/{pod.name} has no page {path}: it is of another version", ASK if path == "/host" else logs)
    except UserError as error:
        return Unknown(f"pod/{pod.name} does not answer: {error.what}"[:300], logs)
    except (msgspec.MsgspecError, RecursionError) as error:
        return Unknown(f"pod/{pod.name} answers what this version does not read: {error}"[:300], "gpuready up")
    if report.node != pod.node:
        return Unknown(f"pod/{pod.name} runs on node/{pod.node} and speaks of another", logs)
    return report


def without_ended(report: AgentReport, cluster: ClusterFacts) -> AgentReport:
    """Kubelets before 1.34 go on naming pods that have ended as holders (kubernetes/kubernetes issue 119423)."""
    if isinstance(report.gpus, Unknown) or isinstance(cluster.pods, Unknown):
        return report
    ended = {(p.namespace, p.name) for p in members(cluster.pods) if p.phase in ("Succeeded", "Failed")}

    def freed(gpu: Gpu) -> Gpu:
        if isinstance(gpu.held_by, Unknown):
            return gpu
        left = tuple(h for h in gpu.held_by if (h.namespace, h.pod) not in ended)
        return msgspec.structs.replace(gpu, held_by=left)

    return msgspec.structs.replace(report, gpus=tuple(map(freed, report.gpus)))


def parsed(node: str, answer: str | UserError) -> HostFacts | Unknown:
    """What a probe printed: one line of JSON."""
    if isinstance(answer, UserError):
        return Unknown(answer.what, answer.next)
    try:
        facts = msgspec.json.decode(redact(answer).strip(), type=HostFacts)
    except (msgspec.MsgspecError, RecursionError) as error:
        return Unknown(f"the probe on node/{node} printed what this version does not read: {error}"[:300], ASK)
    return facts if facts.node == node else Unknown(f"the probe on node/{node} speaks of another node", ASK)


def _more(probed: HostFacts | Unknown, told: HostFacts | Unknown | None) -> HostFacts | Unknown:
    """What the probe saw, and where it could not look, what the agent did. Clocks are compared over the agent alone:
    it answers at once, while a probe's words lie in its log until they are read."""
    if told is None or isinstance(told, Unknown):
        return probed
    if isinstance(probed, Unknown):
        return told
    blind = [name for name in told.__struct_fields__ if isinstance(getattr(probed, name), Unknown)]
    fields = {name: getattr(told, name) for name in (*blind, "as_of", "asked_at")}
    if "cdi_specs" in blind:
        fields["cdi_folders"] = told.cdi_folders
    return msgspec.structs.replace(probed, **fields)


def faults_told(agents: Mapping[str, AgentReport | Unknown]) -> Iterator[Line]:
    """Why GPUs were taken out of service, as statements: the rules over words know what an Xid means."""
    for node, agent in agents.items():
        if isinstance(agent, Unknown) or isinstance(agent.gpus, Unknown):
            continue
        for gpu in agent.gpus:
            if gpu.health == "failed" and gpu.reason:
                who = "kernel" if gpu.reason.startswith("Xid") else "plugin"
                where = f"agent on node/{node}, GPU {gpu.index}"
                yield Line(text=gpu.reason, source="status", who=who, about=f"node/{node}", node=node, where=where)
