"""What a pod's specification asks of its node, for pods and for the templates of DaemonSets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gpuready.collectors._wire import Wire
from gpuready.model.facts.cluster import Placement, PodToleration, Requirement


class NodeTerm(Wire, frozen=True):
    match_expressions: tuple[Requirement, ...] = ()
    match_fields: tuple[Requirement, ...] = ()


class NodeTerms(Wire, frozen=True):
    node_selector_terms: tuple[NodeTerm, ...] = ()


class NodeAffinity(Wire, frozen=True):
    required: NodeTerms = msgspec.field(name="requiredDuringSchedulingIgnoredDuringExecution", default=NodeTerms())


class Affinity(Wire, frozen=True):
    node_affinity: NodeAffinity | None = None


def placement(
    selector: Mapping[str, str], affinity: Affinity | None, tolerations: tuple[PodToleration, ...]
) -> Placement:
    node = affinity.node_affinity if affinity else None
    terms = node.required.node_selector_terms if node else ()
    return Placement(
        selector=selector,
        terms=tuple((*term.match_expressions, *term.match_fields) for term in terms),
        tolerations=tolerations,
    )
