"""The agent saw no fault of the GPU. Not knowing is not healthy."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.agent import Gpu
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, Unknown
from gpuready.rules.verify._gpus import Agents, gpus_of, where


def find(agents: Agents, chosen: tuple[str, ...]) -> Iterator[Finding]:
    yield from each(chosen, lambda node: each(gpus_of(agents, node), partial(_find, node)))


def _find(node: str, gpu: Gpu) -> Iterator[Finding]:
    if gpu.health == "ok":
        return
    if gpu.health != "failed":
        raise TouchedUnknown(Unknown(gpu.reason or "health not known", ask=f"gpuready status of node/{node}"))
    yield Finding(
        at=where(node, gpu.uuid),
        says=gpu.reason or "its health is failed",
        evidence=(f"agent on node/{node}: health failed",),
        next="gpuready status",
        nodes=(node,),
    )


RULE = Rule("gpu-healthy", "verify", "fail", "Every GPU is healthy", find)
