"""Clusters made by kubeadm: it leaves the ConfigMap kube-system/kubeadm-config and an annotation on each node."""

from __future__ import annotations

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.traits import Detection, Platform, Traits
from gpuready.model.unknown import Unknown

CRI_SOCKET = "kubeadm.alpha.kubernetes.io/cri-socket"


def detect(cluster: ClusterFacts) -> Detection | None:
    if cluster.kubeadm is True:
        return Detection("ConfigMap kube-system/kubeadm-config is there", weight=10)
    if isinstance(cluster.nodes, Unknown):
        return None
    named = [n.name for n in cluster.nodes if CRI_SOCKET in n.annotations]
    return Detection(f"node/{named[0]} has annotation {CRI_SOCKET}", weight=10) if named else None


PLATFORM = Platform(
    name="kubeadm",
    title="kubeadm",
    traits=Traits(
        driver_owner="host",
        runtime_config_owner="user",
        driver_hint="install the NVIDIA driver on the node from its distribution's packages (kubeadm brings none), "
        "then run again",
    ),
    detect=detect,
)
