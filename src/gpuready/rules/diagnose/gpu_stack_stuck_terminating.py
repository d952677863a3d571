"""Something of a GPU stack is being deleted and cannot go: nothing new can be put in its place until it has."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.knowledge.speakers import family
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import complete, known, members
from gpuready.rules.diagnose._objects import FAMILIES, of_stack


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    stack = {ds.namespace for ds in known(cluster.daemonsets) if of_stack(ds)}
    for namespace in members(cluster.namespaces):
        name = namespace.name
        concerns = name in stack or family(name) in FAMILIES or "nvidia" in name or name.startswith("gpu")
        if namespace.phase == "Terminating" and namespace.blocked and concerns:
            yield Finding(
                at=f"ns/{name}",
                says="the namespace is being deleted, and something in it keeps it",
                evidence=tuple(f"ns/{name}: {said}"[:300] for said in namespace.blocked),
                next="delete what is named there by its own tool; take a finalizer off only where its owner is gone",
            )
    complete(cluster.namespaces)
    for crd in members(cluster.crds):
        if crd.terminating:
            told = [c for c in crd.conditions if c.type == "Terminating" and c.status == "True"]
            yield Finding(
                at=f"crd/{crd.name}",
                says="the CRD is being deleted, and objects of its kind keep it",
                evidence=(f"crd/{crd.name} is being deleted", *(f"{c.reason}: {c.message}"[:300] for c in told)),
                next=f"kubectl get {crd.name} -A, and see by which finalizers these objects stay",
            )
    complete(cluster.crds)


RULE = Rule(
    "gpu-stack-stuck-terminating",
    "diagnose",
    "fail",
    "A part of a GPU stack cannot be deleted",
    find,
    link="install",
)
