"""A GPU is there, and neither the host nor a pod brings a driver."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.knowledge.speakers import family
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import Hosts, bus, idle_gpus, of_hosts, on_host, with_seen
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "driver-not-installed",
    "kernel driver",
    "the node has no NVIDIA driver",
    signs=(
        "nvidia driver is not installed",
        "nvidia drivers are not installed",
        "no nvidia driver installed",
        "no nvidia drivers installed",
        "nvidia driver not installed",
        "nvidia drivers not installed",
        "no nvidia driver found on this",
        "nvidia driver & {absent} & host & !nvidia.ko",
        "no packages found matching nvidia-driver*",
        "package nvidia-driver* is not installed",
        "nvidia driver installation not found",
        "nvidia driver & is not installed",
        "nvidia-driver-installer & {absent}",
    ),
    next=(
        "install a driver on the node, or let the operator do it (driver.enabled=true; on GKE the driver"
        " installer's DaemonSet or gpu-driver-version)"
    ),
)


def seen(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    yield from of_hosts(cluster, hosts, partial(look, cluster))


def look(cluster: ClusterFacts, host: HostFacts) -> Iterator[Finding]:
    """Where a driver's pod is at work, or fails, the node needs none of its own."""
    if not (idle := idle_gpus(host)) or known(host.driver_files):
        return
    if any(pod.node == host.node and family(pod.name) == "driver" for pod in known(cluster.pods)):
        return
    yield on_host(
        host,
        "it has a GPU, and no NVIDIA driver",
        (
            "no nvidia module is loaded",
            "libnvidia-ml.so.1 and libcuda.so.1 lie in none of the usual folders",
            *bus(idle),
        ),
        "install a driver on the node, or let the operator do it (driver.enabled=true; on GKE the driver"
        " installer's DaemonSet or gpu-driver-version)",
    )


RULE = with_seen(WORDS, seen)
