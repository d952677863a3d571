"""A GPU that somebody holds was not probed: neither pass nor fail, and its holder is named. Nothing is preempted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.agent import Gpu
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, Unknown
from gpuready.rules.verify._gpus import Agents, Probes, gpus_of, held, holders, probe_of


def find(probes: Probes, agents: Agents, chosen: tuple[str, ...]) -> Iterator[Finding]:
    yield from each(chosen, partial(_find, probes, agents))


def _find(probes: Probes, agents: Agents, node: str) -> Iterator[Finding]:
    gpus = gpus_of(agents, node)
    if not gpus and not _given(probes, node):
        yield Finding(
            at=f"node/{node}",
            says="the agent finds no GPU on this node",
            evidence=(f"agent on node/{node}: gpus []",),
            next="gpuready status; then the logs of the agent on that node",
            nodes=(node,),
        )
    yield from each(gpus, partial(_gpu, probes, node))


def _given(probes: Probes, node: str) -> frozenset[str]:
    """The GPUs that the probe's pod reports; none when there is no report."""
    report = probes.get(node)
    return frozenset() if report is None or isinstance(report, Unknown) else frozenset(r.uuid for r in report.gpus)


def _gpu(probes: Probes, node: str, gpu: Gpu) -> Iterator[Finding]:
    if gpu.uuid not in _given(probes, node) and holders(gpu):
        raise TouchedUnknown(Unknown(held(gpu), ask=f"gpuready verify, when {gpu.uuid} is free"))
    probe_of(probes, node)  # not run or not answered: not proved
    return iter(())


RULE = Rule("all-gpus-probed", "verify", "fail", "No GPU is left unproved", find)
