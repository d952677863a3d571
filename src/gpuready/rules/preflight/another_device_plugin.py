"""Two device plugins for one resource: the kubelet keeps the one that registered last, and both hand out the GPUs."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.rule import Finding, Rule
from gpuready.rules.preflight._scope import few, plugin_pods


def find(cluster: ClusterFacts, chosen: tuple[str, ...]) -> Iterator[Finding]:
    names = frozenset(chosen)
    owners: dict[str, list[Pod]] = {}
    for owner, pod in plugin_pods(cluster):
        if pod.node in names:
            owners.setdefault(owner, []).append(pod)
    for owner, pods in sorted(owners.items()):
        nodes = tuple(sorted({p.node for p in pods}))
        images = sorted({c.image for p in pods for c in p.containers})
        yield Finding(
            at=owner,
            says=f"another device plugin serves the GPUs of {few(nodes)}",
            evidence=(
                f"{owner} mounts the kubelet's device-plugins directory",
                *(f"image {image}" for image in images),
                *(f"pod/{p.key} on node/{p.node}" for p in pods[:5]),
            ),
            next="remove it first, then gpuready up",
            nodes=nodes,
        )


RULE = Rule("another-device-plugin", "preflight", "refuse", "Another device plugin serves the GPUs", find)
