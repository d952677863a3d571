"""A GitOps controller puts objects back to what its repository says, and so may take back what gpuready sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gpuready.knowledge.nodes import gitops_owners
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.preflight._scope import chosen_nodes


def find(cluster: ClusterFacts, chosen: tuple[str, ...]) -> Iterator[Finding]:
    for node in chosen_nodes(cluster, chosen):
        yield from _find(f"node/{node.name}", {**node.labels, **node.annotations}, node.managers)
    namespace = known(cluster.own_namespace)
    if namespace is not None:
        keys = {**namespace.labels, **namespace.annotations}
        yield from _find(f"ns/{namespace.name}", keys, namespace.managers)


def _find(at: str, keys: Mapping[str, str], managers: tuple[str, ...]) -> Iterator[Finding]:
    signs: dict[str, list[str]] = {}
    for owner, sign in gitops_owners(keys, managers):
        signs.setdefault(owner, []).append(sign)
    for owner, found in signs.items():
        yield Finding(
            at=at,
            says=f"{owner} keeps this object as its repository says and may take back what gpuready sets",
            evidence=tuple(found),
            next="gpuready plan --out-dir DIR writes the files for that repository",
        )


RULE = Rule("gitops-owner", "preflight", "warn", "A GitOps controller keeps the object", find)
