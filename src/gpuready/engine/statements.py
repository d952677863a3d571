"""What objects of the API say of themselves, as statements: events, pods, containers, nodes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from gpuready.knowledge.speakers import family
from gpuready.model.facts.cluster import ClusterFacts, ContainerUse, Event, Node, Pod, StackObject
from gpuready.model.facts.said import Line
from gpuready.model.unknown import TouchedUnknown, Unknown, known

T = TypeVar("T")


def statements(cluster: ClusterFacts) -> tuple[tuple[Line, ...], tuple[Unknown, ...]]:
    """The lines, and what could not be read of their sources."""
    lines: list[Line] = []
    missing: list[Unknown] = []
    for told in (
        _told(cluster.events, _of_event),
        _told(cluster.pods, _of_pod),
        _told(cluster.nodes, _of_node),
        _told(cluster.stacks, _of_stack),
    ):
        try:
            lines.extend(told)
        except TouchedUnknown as touched:
            missing.append(touched.unknown)
    return tuple(lines), tuple(dict.fromkeys(missing))


def _told(facts: tuple[T, ...] | Unknown, of: Callable[[T], Iterable[Line]]) -> Iterator[Line]:
    for fact in known(facts):
        yield from of(fact)


def _of_event(event: Event) -> Iterator[Line]:
    text = event.message or event.reason
    who = family(event.component) or "apiserver"
    where = f"event of {event.about}"
    yield Line(text=text, source="event", who=who, about=event.about, node=event.node, where=where, at=event.last)


def _of_pod(pod: Pod) -> Iterator[Line]:
    said = (
        (pod.message, pod.reason, "status", "kubelet"),
        (pod.unscheduled, "", "condition PodScheduled", "scheduler"),
        (pod.disrupted, "", "condition DisruptionTarget", "scheduler"),
    )
    for message, reason, what, who in said:
        if message:
            text = f"{reason}: {message}" if reason else message
            yield _line(pod, text, who, f"{what} of pod/{pod.key}")
    for container in pod.containers:
        yield from _of_container(pod, container)


def _of_container(pod: Pod, container: ContainerUse) -> Iterator[Line]:
    """Why it waits is the kubelet's word, what it left in its termination log its own."""
    where = f"container {container.name} of pod/{pod.key}"
    kind, _, reason = container.state.partition(":")
    if kind == "waiting" and container.message:
        yield _line(pod, f"{reason}: {container.message}", "kubelet", where)
    ends = (
        (container.message if kind == "terminated" else "", f"end of {where}"),
        (container.last if container.restarts else "", f"last end of {where}"),
    )
    for message, end in ends:
        if message:
            yield _line(pod, message, family(container.name) or family(pod.name) or "workload", end)


def _of_node(node: Node) -> Iterable[Line]:
    if not node.ready_reason:
        return
    about = f"node/{node.name}"
    yield Line(
        text=node.ready_reason, source="status", who="kubelet", about=about, node=node.name, where=f"Ready of {about}"
    )


def _of_stack(obj: StackObject) -> Iterator[Line]:
    """What the GPU Operator says of itself: also "ready" has reasons that are none, such as NFDLabelsMissing."""
    for told in obj.conditions:
        if told.status == "True" and told.reason not in ("", "Reconciled", "Ready"):
            text = f"{told.reason}: {told.message}" if told.message else told.reason
            where = f"condition {told.type} of {obj.at}"
            yield Line(text=text, source="status", who="operator", about=obj.at, where=where)


def _line(pod: Pod, text: str, who: str, where: str) -> Line:
    return Line(text=text, source="status", who=who, about=f"pod/{pod.key}", node=pod.node, where=where)
