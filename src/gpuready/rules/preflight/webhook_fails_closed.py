"""When such a webhook is down or says no, our pods are not created: the first suspect if a step hangs."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.names import NAMESPACE
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    for hook in known(cluster.webhooks):
        yield Finding(
            at=f"{hook.kind.lower()}/{hook.configuration}",
            says=f"webhook {hook.name} is asked about every pod in {NAMESPACE}; without its answer none is created",
            evidence=(f"failurePolicy Fail, {hook.backend or 'backend not given'}",),
            next=f"exempt namespace {NAMESPACE} there, if pods are refused or its backend is down",
        )


RULE = Rule("webhook-fails-closed", "preflight", "warn", "A webhook may keep pods from being created", find)
