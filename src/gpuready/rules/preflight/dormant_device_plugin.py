"""A device plugin that waits for labels which our agent sets: it would start beside ours as soon as ours runs."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.preflight._scope import plugin_daemonsets

SET_BY_AGENT = "nvidia.com/"


def find(cluster: ClusterFacts, chosen: tuple[str, ...]) -> Iterator[Finding]:
    names = frozenset(chosen)
    running = {(p.namespace, p.owner) for p in known(cluster.pods) if p.node in names}
    for ds in plugin_daemonsets(cluster):
        keys = tuple(key for key in ds.selects if key.startswith(SET_BY_AGENT))
        if not keys or (ds.namespace, f"ds/{ds.name}") in running:
            continue
        yield Finding(
            at=f"ds/{ds.key}",
            says=f"it chooses nodes by {', '.join(keys)} and may start beside gpuready's agent, which sets such labels",
            evidence=(f"ds/{ds.key} runs on {ds.desired} nodes, on none of the chosen ones",),
            next=f"kubectl -n {ds.namespace} delete ds/{ds.name}, if nothing needs it",
        )


RULE = Rule("dormant-device-plugin", "preflight", "warn", "A device plugin waits for labels that the agent sets", find)
