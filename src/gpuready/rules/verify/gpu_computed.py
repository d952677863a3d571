"""Every GPU that the probe's pod was given computed, and every single result was right."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.compute import GpuRun
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import Unknown
from gpuready.rules.verify._gpus import Agents, Probes, holders, probe_of, where


def find(probes: Probes, agents: Agents, chosen: tuple[str, ...]) -> Iterator[Finding]:
    yield from each(chosen, partial(_find, probes, agents))


def _find(probes: Probes, agents: Agents, node: str) -> Iterator[Finding]:
    report = probe_of(probes, node)
    if report.error and not _all_held(agents, node):
        yield Finding(
            at=f"node/{node}",
            says=report.error,
            evidence=(f"the probe ran on {len(report.gpus)} GPUs of this node" if report.gpus else "it ran on no GPU",),
            next="gpuready status; then the logs of the agent on that node",
            nodes=(node,),
        )
    for run in report.gpus:
        wrong = _wrong(run)
        if wrong:
            yield Finding(
                at=where(node, run.uuid),
                says=wrong,
                evidence=(f"{run.elements} results compared, {run.wrong} wrong",),
                next="take the GPU out of use and run its vendor's diagnosis (dcgmi diag)",
                nodes=(node,),
            )


def _all_held(agents: Agents, node: str) -> bool:
    """Whether it is known that no GPU was free: then that the probe could run nothing is no fault."""
    report = agents.get(node)
    if report is None or isinstance(report, Unknown) or isinstance(report.gpus, Unknown):
        return False
    known_held = [not isinstance(gpu.held_by, Unknown) and bool(holders(gpu)) for gpu in report.gpus]
    return bool(known_held) and all(known_held)


def _wrong(run: GpuRun) -> str:
    if run.error:
        return run.error
    if run.wrong:
        return f"{run.wrong} of {run.elements} results are wrong"
    return "" if run.elements else "nothing was computed"


RULE = Rule("gpu-computed", "verify", "fail", "Every GPU computes, and computes right", find)
