"""gpuready's own agent serves GPUs, and the spec asks for the operator: both would hand the same ones out."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.spec import GPU_OPERATOR, Setup
from gpuready.model.unknown import known
from gpuready.rules.preflight._scope import is_our_daemonset


def find(cluster: ClusterFacts, setup: Setup) -> Iterator[Finding]:
    if setup.stack != GPU_OPERATOR:
        return
    for ds in known(cluster.daemonsets):
        if is_our_daemonset(ds):
            yield Finding(
                at=f"ds/{ds.key}",
                says="gpuready's own agent serves the GPUs of this cluster, and the spec asks for gpu-operator",
                evidence=(f"ds/{ds.key} runs on {ds.desired} nodes",),
                next="gpuready uninstall, then gpuready up; or write stack: native",
            )


RULE = Rule("native-stack-installed", "preflight", "refuse", "The native stack serves the GPUs", find)
