"""What proves that a link of the chain holds, for one pod and the nodes that it is or could be on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from gpuready.model.facts.agent import AgentReport
from gpuready.model.facts.cluster import ClusterFacts, ContainerUse, Node, Pod
from gpuready.model.facts.host import HostFacts
from gpuready.model.names import AGENT_LABEL
from gpuready.model.unknown import Unknown, members
from gpuready.rules.diagnose._objects import asks, gpus, meant_for_gpus, serving_pods, until_unknown

SHOWN = 3  # nodes whose proof is told
Agents = Mapping[str, AgentReport | Unknown]
Proof = tuple[str, str]  # link, evidence


class Proofs(NamedTuple):
    state: str
    well: bool
    rests_on: tuple[str, ...]
    of: Mapping[str, tuple[str, ...]]  # link -> evidence; a link that not all nodes prove is not in it


def proofs_of(facts: Mapping[str, Any], pod: Pod | None, nodes: tuple[Node, ...]) -> Proofs:
    """`pod` None: the nodes themselves are asked about."""
    agents: Agents = facts.get("agents") or {}
    hosts = facts.get("hosts") or {}
    each = [list(_of_node(facts["cluster"], node, agents.get(node.name), hosts.get(node.name))) for node in nodes]
    links = {link for proofs in each for link, _ in proofs}
    shared = [link for link in links if all(link in {one for one, _ in proofs} for proofs in each)]
    of = {link: tuple(told for proofs in each for one, told in proofs if one == link)[:SHOWN] for link in shared}
    if pod is None:
        rests_on = (*of.get("node", ()), *of.get("allocatable", ()))
        return Proofs(", ".join(_told(n) for n in nodes), {"node", "allocatable"} <= of.keys(), rests_on, of)
    told = list(_of_pod(pod, agents.get(pod.node)))
    for link in dict.fromkeys(link for link, _ in told):
        of[link] = tuple(evidence for one, evidence in told if one == link)
    well = _well(pod)
    rests_on = tuple(evidence for link, evidence in told if link in ("container start", "compute"))
    return Proofs(_state(pod), well, rests_on, of)


def _told(node: Node) -> str:
    number = sum(gpus(node.allocatable).values())
    return f"{'Ready' if node.ready is True else 'not Ready'}, {number} GPUs allocatable"


def _state(pod: Pod) -> str:
    where = f" on node/{pod.node}" if pod.node else ""
    wants = ", ".join(f"{name}: {number}" for name, number in asks(pod).items())
    return f"{pod.reason or pod.phase or 'of unknown phase'}{where}; asks for {wants or 'no GPU'}"


def _main(pod: Pod) -> list[ContainerUse]:
    return [container for container in pod.containers if not container.init]


def _well(pod: Pod) -> bool:
    """Ended as it should, or all of it ready."""
    if pod.phase == "Succeeded":
        return True
    main = _main(pod)
    return pod.phase == "Running" and not pod.terminating and bool(main) and all(c.ready for c in main)


def _of_pod(pod: Pod, agent: AgentReport | Unknown | None) -> Iterator[Proof]:
    if pod.node:
        yield "scheduling", f"pod/{pod.key} is on node/{pod.node}"
    started = [c for c in _main(pod) if c.state == "running" or c.state.startswith("terminated") or c.restarts]
    if started:
        yield "admission", f"the kubelet of node/{pod.node} let it in: container {started[0].name} was started"
    for container in started:
        yield "container start", f"container {container.name}: {container.state}{', ready' if container.ready else ''}"
    if started and asks(pod):
        yield "runtime config", f"container {started[0].name} was started with a GPU"
        yield "toolkit", f"container {started[0].name} was started with a GPU"
    if pod.phase == "Succeeded":
        yield "compute", "its containers ended with 0"
    if agent is not None and not isinstance(agent, Unknown) and not isinstance(agent.gpus, Unknown):
        for gpu in agent.gpus:
            holding = () if isinstance(gpu.held_by, Unknown) else gpu.held_by
            if any((h.namespace, h.pod) == (pod.namespace, pod.name) for h in holding):
                word = ", replayed" if agent.replayed else ""
                yield "compute", f"it holds GPU {gpu.index} {gpu.uuid} (PodResources of node/{pod.node}{word})"


def _of_node(
    cluster: ClusterFacts, node: Node, agent: AgentReport | Unknown | None, host: HostFacts | Unknown | None
) -> Iterator[Proof]:
    name = f"node/{node.name}"
    if node.ready is True:
        yield "node", f"{name} is Ready"
    if host is not None and not isinstance(host, Unknown):
        yield from _of_host(name, host)
    if agent is not None and not isinstance(agent, Unknown):
        yield from _of_agent(name, agent)
    signs = meant_for_gpus(node)
    if signs or AGENT_LABEL in node.labels:
        yield "discovery", f"{name}: {signs[0] if signs else f'label {AGENT_LABEL}'}"
    if not isinstance(cluster.pods, Unknown) and not isinstance(cluster.daemonsets, Unknown):
        serving = [pod for _, pod in until_unknown(serving_pods(cluster), []) if pod.node == node.name]
        if serving and all(c.ready for pod in serving for c in _main(pod)):
            yield "plugin", f"pod/{serving[0].key} is ready"
    offered = gpus(node.allocatable)
    if offered:
        yield "registration", f"{name} knows {', '.join(offered)}"
    if offered and all(offered.get(resource, 0) >= number for resource, number in gpus(node.capacity).items()):
        yield "allocatable", f"{name}: {', '.join(f'{resource}: {number}' for resource, number in offered.items())}"


def _of_agent(name: str, agent: AgentReport) -> Iterator[Proof]:
    word = ", replayed" if agent.replayed else ""
    if not isinstance(agent.gpus, Unknown) and agent.gpus and all(gpu.health == "ok" for gpu in agent.gpus):
        yield "hardware", f"agent on {name}: {len(agent.gpus)} GPU, health ok{word}"
        if not isinstance(agent.driver, Unknown):
            yield "kernel driver", f"agent on {name}: driver {agent.driver} answers{word}"
            yield "libraries", f"agent on {name}: NVML of driver {agent.driver} answers{word}"


def _of_host(name: str, host: HostFacts) -> Iterator[Proof]:
    if isinstance(host.kernel_driver_version, str):
        yield "kernel driver", f"{name}: driver {host.kernel_driver_version} is loaded"
    if not isinstance(host.driver_files, Unknown) and host.driver_files:
        files = members(host.driver_files)[0]
        yield "libraries", f"{name}: version {files.version or '?'} in {files.lib_dir}"
