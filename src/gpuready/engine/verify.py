"""Prove every GPU: ask the agents, run an ordinary pod on all free GPUs of each node, judge what came back."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from gpuready.components.native_agent.probes import compute_pod
from gpuready.engine.design import served
from gpuready.engine.execute import PROBE_SECONDS, decode
from gpuready.engine.offers import offers, reports
from gpuready.engine.operator import runtime_class
from gpuready.engine.probing import ProbeFailed, pod_ref, run_probes
from gpuready.engine.verdicts import gpu_verdicts
from gpuready.knowledge.gpus import name
from gpuready.model.errors import UserError
from gpuready.model.facts.agent import AgentReport, Gpu
from gpuready.model.facts.compute import ComputeReport
from gpuready.model.journal import Inventory
from gpuready.model.names import AGENT, NAMESPACE
from gpuready.model.ports import Cluster
from gpuready.model.spec import GPU_OPERATOR, Agent, Setup
from gpuready.model.unknown import Unknown
from gpuready.model.verdict import GpuVerdict

Json = dict[str, Any]


class Verification(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What verify found: a verdict per GPU, and that its pods are gone again."""

    nonce: str
    verdicts: tuple[GpuVerdict, ...]
    probes: int
    removed: int
    agents: Mapping[str, AgentReport | Unknown]


def gpu_reports(cluster: Cluster, inventory: Inventory, now: str) -> dict[str, AgentReport | Unknown]:
    """What is known of the GPUs of every node that is served: from our agents, or as the kubelets offer them `now`."""
    nodes = served(inventory)
    if inventory.release:
        return reports(offers(cluster, nodes), {}, models(inventory), now)
    return ask_agents(cluster, nodes)


def models(inventory: Inventory) -> dict[str, str]:
    """What the look at each node found."""
    found = {node: look.report.gpus for node, look in inventory.looks.items()}
    return {
        node: ", ".join(sorted({name(g.device_id) for g in gpus}))
        for node, gpus in found.items()
        if not isinstance(gpus, Unknown)
    }


def ask_agents(cluster: Cluster, nodes: Collection[str]) -> dict[str, AgentReport | Unknown]:
    """Each agent's report, through the API server's pod proxy; Unknown with the reason where none came."""
    pods = cluster.list_objects("v1", "Pod", namespace=NAMESPACE, labels=f"app.kubernetes.io/name={AGENT}")
    by_node = {p["spec"].get("nodeName", ""): p for p in pods if not p["metadata"].get("deletionTimestamp")}
    return {node: _without_ended(cluster, node, _ask(cluster, by_node.get(node))) for node in nodes}


def _ask(cluster: Cluster, pod: Json | None) -> AgentReport | Unknown:
    if pod is None:
        return Unknown("no agent pod runs there", f"kubectl get pods -n {NAMESPACE} -o wide")
    name = pod["metadata"]["name"]
    try:
        answer = cluster.proxy_get(NAMESPACE, name, _port(pod), "/gpus")
        return msgspec.json.decode(answer, type=AgentReport)
    except UserError as error:
        return Unknown(f"pod/{name} does not answer: {error.what}"[:300], f"kubectl logs -n {NAMESPACE} {name}")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Unknown(f"pod/{name} answers what this version does not read: {error}"[:300], "gpuready up")


def _without_ended(cluster: Cluster, node: str, report: AgentReport | Unknown) -> AgentReport | Unknown:
    """Kubelets before 1.34 go on naming pods that have ended as holders of what they gave back (seen on 1.31.0;
    kubernetes/kubernetes issue 119423, feature gate KubeletPodResourcesListUseActivePods)."""
    if isinstance(report, Unknown) or isinstance(report.gpus, Unknown):
        return report
    if not any(gpu.held_by for gpu in report.gpus if not isinstance(gpu.held_by, Unknown)):
        return report
    fields = f"spec.nodeName={node},status.phase!=Pending,status.phase!=Running,status.phase!=Unknown"
    pods = cluster.list_objects("v1", "Pod", fields=fields)
    ended = {(p["metadata"]["namespace"], p["metadata"]["name"]) for p in pods}

    def freed(gpu: Gpu) -> Gpu:
        if isinstance(gpu.held_by, Unknown):
            return gpu
        left = tuple(h for h in gpu.held_by if (h.namespace, h.pod) not in ended)
        return msgspec.structs.replace(gpu, held_by=left)

    return msgspec.structs.replace(report, gpus=tuple(map(freed, report.gpus)))


def _port(pod: Json) -> int:
    """Of this very pod: the spec at hand may be of another one."""
    ports = [p for container in pod["spec"]["containers"] for p in container.get("ports") or ()]
    return next((int(p["containerPort"]) for p in ports if p.get("name") == "metrics"), Agent().metrics_port)


def free_gpus(report: AgentReport | Unknown) -> int:
    """GPUs that a new pod could get: healthy, and held by nobody as far as the agent knows."""
    if isinstance(report, Unknown) or isinstance(report.gpus, Unknown):
        return 0
    return sum(1 for g in report.gpus if g.health == "ok" and not isinstance(g.held_by, Unknown) and not g.held_by)


def verify(
    cluster: Cluster,
    setup: Setup,
    nodes: tuple[str, ...],
    each: Callable[[str], None] = lambda _: None,
    limit: float | None = None,
) -> Verification:
    """A verdict for every GPU of these nodes. A held GPU is undetermined; nothing is preempted for a probe."""
    nonce = secrets.token_hex(8)
    by_operator = setup.stack == GPU_OPERATOR
    told = offers(cluster, nodes) if by_operator else {}
    agents = reports(told, {}, {}) if by_operator else ask_agents(cluster, nodes)
    handler = runtime_class(setup) if by_operator else ""
    pods = {n: compute_pod(setup, n, free, nonce, handler) for n in nodes if (free := free_gpus(agents[n]))}
    each(f"computing on {len(pods)} nodes" if len(pods) != 1 else f"computing on {next(iter(pods))}")
    answers = run_probes(cluster, pods, limit or PROBE_SECONDS["compute"], lambda: None) if pods else {}
    probes = {n: _report(n, answer) for n, answer in answers.items()}
    if by_operator:
        agents = reports(told, probes, {})
    verdicts = gpu_verdicts(nodes, probes, agents, nonce)
    left = sum(1 for pod in pods.values() if cluster.get(pod_ref(pod)) is not None)
    return Verification(nonce=nonce, verdicts=verdicts, probes=len(pods), removed=len(pods) - left, agents=agents)


def _report(node: str, answer: str | ProbeFailed) -> ComputeReport | Unknown:
    if isinstance(answer, ProbeFailed):
        return Unknown(answer.what, answer.next)
    try:
        report = decode(answer, ComputeReport, node)
        assert isinstance(report, ComputeReport)
        return report
    except UserError as error:
        return Unknown(error.what, error.next)
