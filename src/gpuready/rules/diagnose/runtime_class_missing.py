"""A pod names a RuntimeClass that is not there: the API server refuses such pods, the kubelet cannot start them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, Unknown, complete, known, members
from gpuready.rules.diagnose._objects import asks, of_stack, until_unknown

# k8s.io/kubernetes, plugin/pkg/admission/runtimeclass
REFUSED = re.compile(r'pod rejected: RuntimeClass "(nvidia[^"]*)" not found')


class Named(NamedTuple):
    by: str
    name: str
    pod: str = ""
    node: str = ""


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    """What runs already runs on without it."""
    there = {one.name for one in known(cluster.runtime_classes)}
    gaps: list[Unknown] = []
    missed: dict[str, list[Named]] = {}
    for source in (_daemonsets, _pods, _refused):
        for one in until_unknown(source(cluster), gaps):
            if one.name not in there and one not in missed.setdefault(one.name, []):
                missed[one.name].append(one)
    for name, by in sorted(missed.items()):
        if by:
            yield Finding(
                at=f"runtimeclass/{name}",
                says=f"pods name the RuntimeClass {name}, and there is none",
                evidence=(
                    f"RuntimeClasses: {', '.join(sorted(there)) or 'none'}",
                    *(f"{one.by} names {name}" for one in by[:4]),
                ),
                next=f"create it with the handler that the nodes' runtime has: kind RuntimeClass, handler {name}",
                nodes=tuple(sorted({one.node for one in by if one.node})),
                pods=tuple(one.pod for one in by if one.pod),
            )
    for gap in gaps:
        raise TouchedUnknown(gap)


def _daemonsets(cluster: ClusterFacts) -> Iterator[Named]:
    for ds in members(cluster.daemonsets):
        if ds.runtime_class and of_stack(ds) and ds.current < ds.desired:
            yield Named(f"ds/{ds.key}", ds.runtime_class)
    complete(cluster.daemonsets)


def _pods(cluster: ClusterFacts) -> Iterator[Named]:
    for pod in members(cluster.pods):
        concerns = asks(pod) or pod.runtime_class.startswith("nvidia")
        if pod.runtime_class and concerns and pod.phase == "Pending":
            yield Named(f"pod/{pod.key}", pod.runtime_class, pod.key, pod.node)
    complete(cluster.pods)


def _refused(cluster: ClusterFacts) -> Iterator[Named]:
    for event in members(cluster.events):
        if told := REFUSED.search(event.message):
            yield Named(event.about, told[1])
    complete(cluster.events)


RULE = Rule(
    "runtime-class-missing",
    "diagnose",
    "fail",
    "A RuntimeClass that pods name is missing",
    find,
    link="runtime config",
)
