"""Scheduler, kubelet and device plugin gave the probe's pod every GPU that was free."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.agent import Gpu
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.rules.verify._gpus import Agents, Probes, gpus_of, holders, probe_of, where


def find(probes: Probes, agents: Agents, chosen: tuple[str, ...]) -> Iterator[Finding]:
    yield from each(chosen, partial(_find, probes, agents))


def _find(probes: Probes, agents: Agents, node: str) -> Iterator[Finding]:
    given = {run.uuid for run in probe_of(probes, node).gpus}
    missing = [gpu for gpu in gpus_of(agents, node) if gpu.uuid not in given]
    yield from each(missing, partial(_missing, node))


def _missing(node: str, gpu: Gpu) -> Iterator[Finding]:
    if gpu.health == "failed":
        says = gpu.reason or "its health is failed, so it is not handed out"
    elif holders(gpu):
        return  # not free; all-gpus-probed names the holder
    else:
        says = "it was free and the probe's pod did not get it"
    yield Finding(
        at=where(node, gpu.uuid),
        says=says,
        evidence=(f"the pod of node/{node} did not report {gpu.uuid}", f"agent: health {gpu.health}"),
        next="gpuready status shows who holds what",
        nodes=(node,),
    )


RULE = Rule("gpu-scheduled", "verify", "fail", "Every free GPU reaches a pod", find)
