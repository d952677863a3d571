"""The MIG manager could not give a node the layout that its label asks for."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    """nvidia.com/mig.config.state: github.com/NVIDIA/mig-parted, deployments/gpu-operator."""
    for node in known(cluster.nodes):
        if node.labels.get("nvidia.com/mig.config.state") == "failed":
            wanted = node.labels.get("nvidia.com/mig.config", "none")
            yield Finding(
                at=f"node/{node.name}",
                says=f"the MIG layout {wanted} could not be made",
                evidence=(f"label nvidia.com/mig.config={wanted}", "label nvidia.com/mig.config.state=failed"),
                next="read the log of nvidia-mig-manager on that node: no such layout, or the GPU is in use",
                nodes=(node.name,),
            )


RULE = Rule(
    "mig-config-failed",
    "diagnose",
    "fail",
    "The MIG layout of a node could not be made",
    find,
    link="discovery",
    symptom=True,
    because=("mig-config-invalid", "mig-mode-change-needs-reboot", "mig-reset-blocked-by-gpu-client"),
)
