"""The kubelet was restarted, or its socket made anew, and the device plugin's registration was lost with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpuready.model.facts.agent import AgentReport
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.said import Said
from gpuready.model.fleet import each
from gpuready.model.rule import Finding
from gpuready.model.unknown import Unknown, known
from gpuready.rules.diagnose._hosts import Hosts, in_question, joined, whole, with_find
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "device-plugin-not-registered-after-kubelet-restart",
    "registration",
    "the kubelet has lost the device plugin's registration",
    signs=(
        "{kubelet restart}",
        "{gpu resource} & {kubelet restart}",
        "endpoint * has been stopped",
        "endpoint * has been stopped & {gpu resource}",
        "endpoint not found in cache",
    ),
    who=("plugin", "kubelet"),
    next="compare `kubectl describe node` with the plugin's log: where nvidia.com/gpu stays 0 after the last restart,"
    " delete the plugin's pod on that node",
)


Agents = Mapping[str, AgentReport | Unknown]


def find(said: Said, cluster: ClusterFacts, hosts: Hosts, agents: Agents) -> Iterator[Finding]:
    def look(node: str) -> Iterator[Finding]:
        """Our agent says itself whether the kubelet has taken its registration."""
        agent = known(agents[node]) if node in agents else None
        if agent is not None and not agent.registered:
            yield Finding(
                at=f"node/{node}",
                says="the agent runs, and the kubelet has not taken its registration",
                evidence=(f"agent on node/{node}, {agent.as_of}: registered false",),
                next=f"read the agent's log and the kubelet's (journalctl -u kubelet) on node/{node} for device plugin",
                nodes=(node,),
            )

    def seen() -> Iterator[Finding]:
        yield from each(in_question(cluster, hosts), look)
        whole(cluster)

    yield from joined(WORDS, said, seen())


RULE = with_find(WORDS, find)
