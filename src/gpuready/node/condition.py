"""The node condition and the events that tell of the GPUs' health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gpuready.model.names import AGENT_EVENTS, CONDITION
from gpuready.node.gpus import Gpu
from gpuready.node.health import Health

LONGEST_MESSAGE = 1000
Json = dict[str, Any]


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    status: str  # "True", "False", "Unknown"
    reason: str
    message: str


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU's health is another than before."""

    uuid: str
    state: str
    reason: str


def condition(
    gpus: Sequence[Gpu], health: Mapping[str, Health], not_described: Mapping[int, str], blind: str
) -> Condition:
    """`blind` says why NVML cannot be asked at all; `not_described` holds, by index, GPUs without a UUID."""
    if blind:
        return Condition(status="Unknown", reason="DriverNotReadable", message=short(blind))
    failed = [f"{gpu.uuid}: {health[gpu.uuid].reason}" for gpu in gpus if health[gpu.uuid].state == "failed"]
    failed += [f"GPU {index}: {why}" for index, why in not_described.items()]
    unknown = [f"{gpu.uuid}: {health[gpu.uuid].reason}" for gpu in gpus if health[gpu.uuid].state == "unknown"]
    total = len(gpus) + len(not_described)
    if failed:
        reason = "XidError" if any(entry.fault and entry.fault.xid for entry in health.values()) else "GPUFailed"
        return Condition(
            status="False", reason=reason, message=short(f"{len(failed)} of {total} failed. " + "; ".join(failed))
        )
    if unknown:
        return Condition(
            status="Unknown",
            reason="NotWatched",
            message=short(f"{len(unknown)} of {total} unknown. " + "; ".join(unknown)),
        )
    if not gpus:
        return Condition(status="False", reason="NoGPU", message="the driver answers and counts no GPU")
    return Condition(
        status="True", reason="AllHealthy", message=f"{total} of {total} answer and no error stands against them"
    )


def short(message: str) -> str:
    return message if len(message) <= LONGEST_MESSAGE else message[: LONGEST_MESSAGE - 3] + "..."


def changes(before: Mapping[str, Health], after: Mapping[str, Health]) -> tuple[Change, ...]:
    """What an event is due for: not that a healthy GPU was seen for the first time."""
    return tuple(
        Change(uuid=uuid, state=now.state, reason=now.reason)
        for uuid, now in after.items()
        if now.state != (before[uuid].state if uuid in before else "ok")
    )


def condition_object(node: str, found: Condition, since: str, now: str) -> Json:
    entry = {
        "type": CONDITION,
        "status": found.status,
        "reason": found.reason,
        "message": found.message,
        "lastTransitionTime": since,
        "lastHeartbeatTime": now,
    }
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "status": {"conditions": [entry]}}


def labels_object(node: str, labels: Mapping[str, str]) -> Json:
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node, "labels": dict(labels)}}


def event_object(node: str, *, name: str, reason: str, note: str, warning: bool, now: str, instance: str) -> Json:
    """Of events.k8s.io/v1. As with the kubelet's, it lives in the namespace default and the node's UID is its name."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": "default"},
        "eventTime": now,
        "reportingController": AGENT_EVENTS,
        "reportingInstance": instance[:128],
        "action": "Observed",
        "reason": reason,
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node},
        "note": short(note),
        "type": "Warning" if warning else "Normal",
    }
