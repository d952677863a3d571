"""The table of verify: what the gates say of every GPU. The gates are the rules of layer `verify` and nothing else.

Each gate is judged once for every GPU, over the reports cut down to that GPU.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gpuready.engine.catalog import rules
from gpuready.engine.judge import judge
from gpuready.model.facts.agent import AgentReport
from gpuready.model.facts.compute import ComputeReport, GpuRun
from gpuready.model.rule import Verdict
from gpuready.model.unknown import Unknown
from gpuready.model.verdict import GpuResult, GpuVerdict, Part

Probe = ComputeReport | Unknown
Agent = AgentReport | Unknown


def gpu_verdicts(
    chosen: Iterable[str], probes: Mapping[str, Probe], agents: Mapping[str, Agent], nonce: str
) -> tuple[GpuVerdict, ...]:
    """One row a GPU, by node and then in the agent's order; one row for a node whose GPUs are not known."""
    rows = []
    for node in sorted(chosen):
        probe = probes.get(node, Unknown("no probe was run"))
        agent = agents.get(node, Unknown("the agent was not asked"))
        rows += [_row(node, uuid, probe, agent, nonce) for uuid in _uuids(probe, agent)]
    return tuple(rows)


def _uuids(probe: Probe, agent: Agent) -> list[str]:
    listed = () if isinstance(agent, Unknown) or isinstance(agent.gpus, Unknown) else agent.gpus
    ran = () if isinstance(probe, Unknown) else probe.gpus
    return list(dict.fromkeys([*(g.uuid for g in listed), *(r.uuid for r in ran)])) or ["?"]


def _row(node: str, uuid: str, probe: Probe, agent: Agent, nonce: str) -> GpuVerdict:
    facts = {
        "chosen": (node,),
        "probes": {node: _probe_of(uuid, probe)},
        "agents": {node: _agent_of(uuid, agent)},
        "nonce": nonce,
    }
    gates = judge(rules("verify"), facts)
    run = _run(uuid, probe)
    reports = [report for report in (probe, agent) if not isinstance(report, Unknown)]
    return GpuVerdict(
        node=node,
        uuid=uuid,
        scheduled=_mark(gates, "gpu-scheduled", run),
        computed=_mark(gates, "gpu-computed", run),
        verdict=_verdict(gates, run),
        note=_note(gates),
        replayed=any(report.replayed for report in reports),
        simulated=any(report.simulated is True for report in reports),
        seconds=run.seconds if run else None,
    )


def _probe_of(uuid: str, probe: Probe) -> Probe:
    if isinstance(probe, Unknown):
        return probe
    return msgspec.structs.replace(probe, gpus=tuple(r for r in probe.gpus if r.uuid == uuid))


def _agent_of(uuid: str, agent: Agent) -> Agent:
    if isinstance(agent, Unknown) or isinstance(agent.gpus, Unknown):
        return agent
    return msgspec.structs.replace(agent, gpus=tuple(g for g in agent.gpus if g.uuid == uuid))


def _run(uuid: str, probe: Probe) -> GpuRun | None:
    return None if isinstance(probe, Unknown) else next((r for r in probe.gpus if r.uuid == uuid), None)


def _mark(gates: Iterable[Verdict], rule: str, run: GpuRun | None) -> Part:
    status = next(gate.status for gate in gates if gate.rule == rule)
    if status == "found":
        return "fail"
    return "pass" if status == "pass" and run else "-"


def _verdict(gates: Iterable[Verdict], run: GpuRun | None) -> GpuResult:
    statuses = {gate.status for gate in gates}
    if "found" in statuses:
        return "FAIL"
    return "PASS" if run and statuses == {"pass"} else "UNDETERMINED"


def _note(gates: tuple[Verdict, ...]) -> str:
    """The first thing that was found, else the first that could not be known; the GPU's health before the rest."""
    gates = tuple(sorted(gates, key=lambda gate: gate.rule != "gpu-healthy"))
    found = [finding.says for gate in gates for finding in gate.findings]
    return next(iter([*found, *(gate.missing for gate in gates if gate.missing)]), "")
