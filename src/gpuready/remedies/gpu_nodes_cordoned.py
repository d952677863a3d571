"""Whoever cordoned a node had a reason: only they know whether it is gone."""

from __future__ import annotations

from gpuready.model.remedy import ByHand, Remedy
from gpuready.model.rule import Finding


def mend(finding: Finding) -> ByHand:
    return ByHand(
        because="somebody keeps pods off the node on purpose",
        do=finding.next,
        proved_by="kubectl get nodes no longer says SchedulingDisabled",
    )


REMEDY = Remedy(
    "gpu-nodes-cordoned",
    mend,
    by_hand="kubectl uncordon, by whoever knows why it was cordoned; `kubectl get nodes` then no longer says"
    " SchedulingDisabled",
)
