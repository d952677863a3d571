"""Any conformant cluster of which nothing more is known."""

from __future__ import annotations

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.traits import Detection, Platform, Traits


def detect(_cluster: ClusterFacts) -> Detection | None:
    return Detection("no sign of a more particular platform", weight=0)


PLATFORM = Platform(
    name="generic",
    title="Kubernetes",
    traits=Traits(
        driver_owner="host",
        runtime_config_owner="user",
        driver_hint="install the NVIDIA driver on the node from its distribution's packages, then run again",
    ),
    detect=detect,
)
