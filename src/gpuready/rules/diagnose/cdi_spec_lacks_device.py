"""A CDI name was requested that no file in /etc/cdi or /var/run/cdi has: spec not generated, or by another vendor
name or naming strategy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

from gpuready.model.facts.agent import AgentReport
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.host import HostFacts
from gpuready.model.facts.said import Said
from gpuready.model.rule import Finding
from gpuready.model.unknown import TouchedUnknown, Unknown, known
from gpuready.rules.diagnose._hosts import ASK, Hosts, joined, of_hosts, on_host, with_find
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "cdi-spec-lacks-device",
    "runtime config",
    "no CDI specification on the node has the device that was asked for",
    signs=(
        "unresolvable cdi device*",
        "could not resolve cdi devices",
        "no known gpu vendor found",
        "stat nvidia.com/gpu=* {absent}",
        "{cdi} & could not select device driver",
        "cdi device* & {absent} & !failed to stat & !{lost}",
    ),
    next=(
        "compare `nvidia-ctk cdi list` on that node with the name in the message; restart the toolkit pod, or where "
        "no operator owns it run `nvidia-ctk cdi generate --output=/var/run/cdi/nvidia.yaml`"
    ),
)


OURS = "gpuready.dev/gpu"
FOLDER = "/var/run/cdi"
Agents = Mapping[str, AgentReport | Unknown]


def find(said: Said, cluster: ClusterFacts, hosts: Hosts, agents: Agents) -> Iterator[Finding]:
    yield from joined(WORDS, said, of_hosts(cluster, hosts, partial(look, agents)))


def look(agents: Agents, host: HostFacts) -> Iterator[Finding]:
    """Our agent writes its file before it offers a GPU; of other stacks it is not known whether they use CDI."""
    agent = known(agents[host.node]) if host.node in agents else None
    if agent is None or agent.injection != "cdi" or not known(agent.gpus):
        return
    specs = known(host.cdi_specs)
    if any(spec.kind == OURS for spec in specs):
        return
    if FOLDER not in host.cdi_folders:
        raise TouchedUnknown(Unknown(f"{FOLDER} of node/{host.node} was not looked into", ASK))
    yield on_host(
        host,
        f"no CDI file on the node is for {OURS}, by which the agent gives out its GPUs",
        (f"CDI files: {', '.join(spec.path for spec in specs) or 'none'}", "agent: injection cdi"),
        "start the agent of that node again: it writes the file (kubectl delete pod, in gpuready-system)",
    )


RULE = with_find(WORDS, find)
