"""The answer is of this run, of this node and of its GPUs: an old log or another machine's output proves nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.rules.verify._gpus import Agents, Probes, gpus_of, probe_of, where


def find(probes: Probes, agents: Agents, nonce: str, chosen: tuple[str, ...]) -> Iterator[Finding]:
    yield from each(chosen, partial(_find, probes, agents, nonce))


def _find(probes: Probes, agents: Agents, nonce: str, node: str) -> Iterator[Finding]:
    report = probe_of(probes, node)
    if report.nonce != nonce:
        yield _finding(node, f"node/{node}", "the probe's answer is not of this run", f"nonce {report.nonce!r}")
    if report.node != node:
        yield _finding(node, f"node/{node}", f"the probe ran on node/{report.node}", f"node {report.node!r}")
    own = {gpu.uuid for gpu in gpus_of(agents, node)}
    for run in report.gpus:
        if run.uuid not in own:
            yield _finding(node, where(node, run.uuid), "the agent of this node does not list it", f"name {run.name}")


def _finding(node: str, at: str, says: str, answered: str) -> Finding:
    return Finding(
        at=at, says=says, evidence=(f"the probe answered {answered}",), next="gpuready verify again", nodes=(node,)
    )


RULE = Rule("gpu-belongs-to-node", "verify", "fail", "The proof is of this run and of these GPUs", find)
