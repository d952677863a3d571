"""Two device plugins on one node: the kubelet keeps the one that registered last, and both hand out the GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.facts.host import HostFacts
from gpuready.model.names import NAMESPACE
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.diagnose._hosts import Hosts, of_hosts, on_host
from gpuready.rules.diagnose._objects import few, serving_pods

SOCKETS = ("nvidia-gpu", "nvidiaGPU")  # NVIDIA's plugin and ours; Google's


def find(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    yield from _by_pods(cluster)
    yield from of_hosts(cluster, hosts, _by_sockets)


def _by_pods(cluster: ClusterFacts) -> Iterator[Finding]:
    owners: dict[str, dict[str, Pod]] = {}
    for owner, pod in serving_pods(cluster):
        if pod.phase == "Running" and not pod.terminating:
            owners.setdefault(pod.node, {})[owner] = pod
    together: dict[tuple[str, ...], list[str]] = {}
    for node, there in owners.items():
        if len(there) > 1:
            together.setdefault(tuple(sorted(there, key=_ours_first)), []).append(node)
    for names, nodes in sorted(together.items()):
        first, *others = names
        pods = [owners[node][name] for node in nodes for name in names]
        yield Finding(
            at=others[0],
            says=f"it serves the GPUs of {few(nodes)}, which {first} serves too",
            evidence=tuple(f"pod/{pod.key} on node/{pod.node} mounts the device-plugins directory" for pod in pods[:4]),
            next=f"keep one, and remove the other by the chart or manifest that it came from: {' or '.join(names)}",
            nodes=tuple(nodes),
            pods=tuple(pod.key for pod in pods),
        )


def _by_sockets(host: HostFacts) -> Iterator[Finding]:
    """A plugin need not be a pod. A socket outlives its plugin until the kubelet starts again: it only fits."""
    sockets = known(host.plugin_sockets)
    made = [[name for name in sockets if name.startswith(maker)] for maker in SOCKETS]
    if all(made):
        yield on_host(
            host,
            "sockets of two device plugins for its GPUs lie in the device-plugins directory",
            tuple(f"/var/lib/kubelet/device-plugins/{name}" for names in made for name in names),
            "see which of the two plugins still runs there, and remove the other",
            weight=1.0,
        )


def _ours_first(owner: str) -> tuple[bool, str]:
    return f"/{NAMESPACE}/" not in owner, owner


RULE = Rule(
    "second-device-plugin",
    "diagnose",
    "fail",
    "Two device plugins serve the same GPUs",
    find,
    link="plugin",
)
