"""Pods of the whole cluster, narrowly: who uses GPUs, by which way, and who serves them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gpuready.collectors._placement import Affinity, placement
from gpuready.collectors._wire import LIST, Volume, Wire, mounts_device_plugin_dir, whole_numbers
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import ContainerUse, Placement, Pod, PodToleration

LONGEST = 4000  # characters of a message; the kubelet keeps as many of a termination log
VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
LIMIT_RANGER = b"kubernetes.io/limit-ranger"  # the annotation in which that admission plugin says what it added

SHORT = {"DaemonSet": "ds", "ReplicaSet": "rs", "StatefulSet": "sts", "ReplicationController": "rc"}


class Owner(Wire, frozen=True):
    kind: str
    name: str
    controller: bool = False


class PodMeta(Wire, frozen=True):
    name: str
    uid: str = ""
    namespace: str = ""
    labels: Mapping[str, str] = {}
    owner_references: tuple[Owner, ...] = ()
    deletion_timestamp: str | None = None
    finalizers: tuple[str, ...] = ()
    annotations: msgspec.Raw = msgspec.Raw(b"null")  # decoded only where LIMIT_RANGER is among them


class Env(Wire, frozen=True):
    name: str
    value: msgspec.Raw = msgspec.Raw(b'""')  # decoded for one name only: other values may be secrets


class Resources(Wire, frozen=True):
    requests: Mapping[str, str] = {}
    limits: Mapping[str, str] = {}


class Container(Wire, frozen=True):
    name: str
    image: str = ""
    env: tuple[Env, ...] = ()
    resources: Resources = Resources()


class Claim(Wire, frozen=True):
    name: str = ""


class PodSpec(Wire, frozen=True):
    node_name: str = ""
    runtime_class_name: str | None = None
    volumes: tuple[Volume, ...] = ()
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    resource_claims: tuple[Claim, ...] = ()
    restart_policy: str = "Always"
    node_selector: Mapping[str, str] = {}
    affinity: msgspec.Raw = msgspec.Raw(b"null")  # decoded for pods that wait only: most of a cluster's do not
    tolerations: msgspec.Raw = msgspec.Raw(b"null")
    priority: int | None = None


class Waiting(Wire, frozen=True):
    reason: str = ""
    message: str = ""


class Terminated(Wire, frozen=True):
    exit_code: int = 0
    reason: str = ""
    message: str = ""


class Running(Wire, frozen=True):
    pass


class State(Wire, frozen=True):
    running: Running | None = None
    waiting: Waiting | None = None
    terminated: Terminated | None = None


class ContainerStatus(Wire, frozen=True):
    name: str
    ready: bool = False
    restart_count: int = 0
    state: State = State()
    last_state: State = State()


class Condition(Wire, frozen=True):
    type: str = ""
    status: str = ""
    reason: str | None = None
    message: str = ""
    last_transition_time: str | None = None


class PodStatus(Wire, frozen=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class WirePod(Wire, frozen=True):
    metadata: PodMeta
    spec: PodSpec
    status: PodStatus = PodStatus()


DECODER = msgspec.json.Decoder(LIST[WirePod])
TEXT = msgspec.json.Decoder(str)
ANNOTATIONS = msgspec.json.Decoder(Mapping[str, str] | None)
AFFINITY = msgspec.json.Decoder(Affinity | None)
TOLERATIONS = msgspec.json.Decoder(tuple[PodToleration, ...] | None)
NO_STATUS = ContainerStatus(name="")


def parse(pages: Pages) -> tuple[Pod, ...]:
    return tuple(_pod(item) for page in pages for item in DECODER.decode(page))


def _pod(item: WirePod) -> Pod:
    meta, spec, status = item.metadata, item.spec, item.status
    return Pod(
        namespace=meta.namespace,
        name=meta.name,
        uid=meta.uid,
        node=spec.node_name,
        phase=status.phase,
        reason=status.reason,
        owner=_owner(meta.owner_references),
        labels=meta.labels,
        runtime_class=spec.runtime_class_name or "",
        terminating=meta.deletion_timestamp is not None,
        device_plugin_dir=mounts_device_plugin_dir(spec.volumes),
        claims=len(spec.resource_claims),
        containers=(
            *_uses(spec.init_containers, status.init_container_statuses, init=True),
            *_uses(spec.containers, status.container_statuses, init=False),
        ),
        not_ready_since=_not_ready_since(status.conditions),
        message=status.message[:LONGEST],
        unscheduled=_unscheduled(status.conditions)[:LONGEST],
        restart_policy=spec.restart_policy,
        placement=None if spec.node_name else _placement(spec),
        finalizers=meta.finalizers if meta.deletion_timestamp else (),
        priority=spec.priority or 0,
        disrupted=_disrupted(status.conditions)[:LONGEST],
        gpus_by_limit_range=_by_limit_range(meta.annotations),
    )


def _placement(spec: PodSpec) -> Placement:
    return placement(spec.node_selector, AFFINITY.decode(spec.affinity), TOLERATIONS.decode(spec.tolerations) or ())


def _unscheduled(conditions: Iterable[Condition]) -> str:
    return next((c.message for c in conditions if c.type == "PodScheduled" and c.status == "False"), "")


def _disrupted(conditions: Iterable[Condition]) -> str:
    found = next((c for c in conditions if c.type == "DisruptionTarget" and c.status == "True"), None)
    return f"{found.reason or ''}: {found.message}" if found else ""


def _by_limit_range(annotations: msgspec.Raw) -> tuple[str, ...]:
    """From "LimitRanger plugin set: cpu request for container a; nvidia.com/gpu limit for container b"."""
    if LIMIT_RANGER not in bytes(annotations):
        return ()
    said = (ANNOTATIONS.decode(annotations) or {}).get(LIMIT_RANGER.decode(), "")
    containers = (one.rpartition(" container ")[2] for one in said[:LONGEST].split(";") if "nvidia.com/" in one)
    return tuple(dict.fromkeys(containers))


def _not_ready_since(conditions: Iterable[Condition]) -> str:
    ready = next((c for c in conditions if c.type == "Ready"), None)
    return (ready.last_transition_time or "") if ready and ready.status == "False" else ""


def _owner(references: Iterable[Owner]) -> str:
    owner = next((o for o in references if o.controller), None)
    return f"{SHORT.get(owner.kind, owner.kind.lower())}/{owner.name}" if owner else ""


def _uses(
    containers: Iterable[Container], statuses: Iterable[ContainerStatus], *, init: bool
) -> Iterable[ContainerUse]:
    by_name = {status.name: status for status in statuses}
    for container in containers:
        status = by_name.get(container.name, NO_STATUS)
        yield ContainerUse(
            name=container.name,
            image=container.image,
            requests=_requests(container.resources),
            visible_devices=_visible_devices(container.env),
            state=_state(status.state),
            ready=status.ready,
            init=init,
            message=_message(status.state)[:LONGEST],
            last=_ended(status.last_state.terminated)[:LONGEST],
            restarts=status.restart_count,
        )


def _message(state: State) -> str:
    if state.waiting is not None:
        return state.waiting.message
    return _ended(state.terminated)


def _ended(end: Terminated | None) -> str:
    """OOMKilled 137: what it wrote to its termination log."""
    if end is None or (end.exit_code == 0 and not end.message):
        return ""
    said = f": {end.message.strip()}" if end.message else ""
    return f"{end.reason} {end.exit_code}".strip() + said


def _requests(resources: Resources) -> Mapping[str, int]:
    """Extended resources: request and limit must be equal, and a limit alone counts as a request."""
    return whole_numbers({**resources.requests, **resources.limits})


def _visible_devices(env: Iterable[Env]) -> str:
    return next((TEXT.decode(e.value) for e in env if e.name == VISIBLE_DEVICES), "")


def _state(state: State) -> str:
    if state.running is not None:
        return "running"
    if state.waiting is not None:
        return f"waiting:{state.waiting.reason}"
    if state.terminated is not None:
        return f"terminated:{state.terminated.exit_code}"
    return ""


COLLECTOR = Collector(gives="pods", asks=(Ask(path="/api/v1/pods"),), parse=parse)
