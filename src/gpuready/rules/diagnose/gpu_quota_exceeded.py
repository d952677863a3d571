"""The quota of the namespace, queue or cloud account has no GPU left."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import complete, known, members
from gpuready.rules.diagnose._objects import with_objects
from gpuready.rules.diagnose._said import said_rule


def _seen(cluster: ClusterFacts) -> Iterator[Finding]:
    """A quota that is used up is no fault by itself: somebody must have been refused for it."""
    quotas = known(cluster.quotas)
    refused: dict[str, str] = {}
    for event in members(cluster.events) if quotas else ():
        if "exceeded quota: " in event.message and "nvidia.com/" in event.message:
            refused[event.about] = event.message
    for about, message in refused.items():
        for quota in quotas:
            if f"exceeded quota: {quota.name}," not in message or f"/{quota.namespace}/" not in about:
                continue
            yield Finding(
                at=about,
                says=f"the quota {quota.name} of namespace {quota.namespace} allows no more GPUs",
                evidence=tuple(
                    f"quota/{quota.key}: {name} used {quota.used.get(name, 0)} of {hard}"
                    for name, hard in sorted(quota.hard.items())
                ),
                next=f"end what is not needed in namespace {quota.namespace}, or raise that quota",
            )
    if quotas:
        complete(cluster.events)


RULE = with_objects(
    said_rule(
        "gpu-quota-exceeded",
        "scheduling",
        "the GPU quota is used up",
        signs=(
            "exceeded quota & requests {gpu resource}",
            "exceeded quota & limits {gpu resource}",
            "exceeded quota & {gpu resource}",
            "insufficient quota for {gpu resource}",
            "insufficient unused quota for {gpu resource}",
            "insufficient quota & {gpu resource}",
            "quota & *gpus* & exceeded",
            "quota_exceeded & *gpu*",
            "exceed*gpu*quota",
            "vcpulimitexceeded",
            "quota & cores & approved & {exhausted}",
            "exceeding approved & quota",
        ),
        next="compare used with hard of nvidia.com/gpu (`kubectl describe quota`, the queue, or the cloud's quota"
        " page), then free GPUs or raise it",
    ),
    _seen,
)
