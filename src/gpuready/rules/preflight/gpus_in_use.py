"""Pods use GPUs of a node on which our agent is not: it would hand the same GPUs out a second time."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.knowledge import plugins
from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.journal import Inventory
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.preflight._scope import ENDED, counted, few, is_our_pod, served_by_us

NO_DEVICES = ("", "void", "none")  # values of NVIDIA_VISIBLE_DEVICES that give no GPU


def find(cluster: ClusterFacts, inventory: Inventory, chosen: tuple[str, ...]) -> Iterator[Finding]:
    users: dict[str, dict[str, str]] = {}
    foreign = frozenset(chosen) - served_by_us(cluster, inventory)
    for pod in known(cluster.pods):
        if pod.node not in foreign or pod.phase in ENDED or is_our_pod(pod):
            continue
        sign = _sign(pod)
        if sign:
            users.setdefault(pod.node, {})[pod.key] = sign
    for node, pods in sorted(users.items()):
        yield Finding(
            at=f"node/{node}",
            says=f"GPUs in use by {counted(len(pods), 'pod')} ({few(pods)}): installing would hand them out again",
            evidence=tuple(f"pod/{key}: {sign}" for key, sign in sorted(pods.items())[:10]),
            next="let them end or move them, then gpuready up",
            nodes=(node,),
        )


def _sign(pod: Pod) -> str:
    """How the pod gets at GPUs; empty when it does not, or only watches them or serves them."""
    if pod.device_plugin_dir or plugins.only_observes(c.image for c in pod.containers):
        return ""
    for container in pod.containers:
        for resource, count in container.requests.items():
            if resource.startswith("nvidia.com/") and count:
                return f"container {container.name} requests {resource}: {count}"
    for container in pod.containers:
        if container.visible_devices not in NO_DEVICES:
            return f"container {container.name} sets NVIDIA_VISIBLE_DEVICES={container.visible_devices}"
    return f"runtimeClassName {pod.runtime_class}" if pod.runtime_class.startswith("nvidia") else ""


RULE = Rule("gpus-in-use", "preflight", "refuse", "Pods use the GPUs", find)
