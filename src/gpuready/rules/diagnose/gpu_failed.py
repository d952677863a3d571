"""The agent has taken a GPU out of service, and says why. A rule about that very reason explains it further."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpuready.model.facts.agent import AgentReport
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import Unknown, known
from gpuready.rules.diagnose._hosts import Hosts, in_question, whole

Agents = Mapping[str, AgentReport | Unknown]


def find(cluster: ClusterFacts, hosts: Hosts, agents: Agents) -> Iterator[Finding]:
    def look(node: str) -> Iterator[Finding]:
        """Nodes without an agent of ours have nobody who would tell."""
        agent = known(agents[node]) if node in agents else None
        gpus = known(agent.gpus) if agent else ()
        failed = [gpu for gpu in gpus if gpu.health == "failed"]
        if agent and failed:
            yield Finding(
                at=f"node/{node}",
                says=f"{len(failed)} of its {len(gpus)} GPU failed: {failed[0].reason}"[:130],
                evidence=tuple(
                    f"agent, {agent.as_of}: GPU {gpu.index} {gpu.uuid or gpu.pci}: {gpu.reason}" for gpu in failed[:4]
                ),
                next=f"kubectl describe node {node} tells when; drain it, reset or reboot it, and where the"
                " fault comes back replace the GPU",
                nodes=(node,),
            )

    yield from each(in_question(cluster, hosts), look)
    whole(cluster)


RULE = Rule(
    "gpu-failed",
    "diagnose",
    "fail",
    "The agent has taken a GPU out of service",
    find,
    link="hardware",
    because=(
        "ecc-uncorrectable",
        "gpu-fell-off-bus",
        "gpu-reset-required-latched",
        "gpu-unhealthy-xid",
        "gsp-firmware-fault",
        "row-remap-pending",
    ),
)
