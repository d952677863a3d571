"""What the gates of verify share: reports by node, and how a GPU of a node is named in a finding."""

from __future__ import annotations

from collections.abc import Mapping

from gpuready.model.facts.agent import AgentReport, Gpu, Holder
from gpuready.model.facts.compute import ComputeReport
from gpuready.model.names import NAMESPACE
from gpuready.model.unknown import Unknown, known

Probes = Mapping[str, ComputeReport | Unknown]
Agents = Mapping[str, AgentReport | Unknown]


def probe_of(probes: Probes, node: str) -> ComputeReport:
    return known(probes.get(node, Unknown(f"no probe was run on node/{node}", ask=f"gpuready verify on node/{node}")))


def gpus_of(agents: Agents, node: str) -> tuple[Gpu, ...]:
    """The GPUs of a node as its agent lists them."""
    missing = Unknown(f"the agent on node/{node} was not asked", ask=f"gpuready status of node/{node}")
    return known(known(agents.get(node, missing)).gpus)


def where(node: str, uuid: str) -> str:
    return f"node/{node} {uuid}"


def holders(gpu: Gpu) -> tuple[Holder, ...]:
    """Who else was given the GPU; our own probe does not count."""
    return tuple(h for h in known(gpu.held_by) if h.namespace != NAMESPACE)


def held(gpu: Gpu) -> str:
    return "held by " + ", ".join(sorted({f"{h.namespace}/{h.pod}" for h in holders(gpu)}))
