"""Nodes: labels and who set them, taints, readiness, versions, extended resources."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gpuready.collectors._wire import LIST, Managed, Meta, Wire, label_managers, managers, whole_numbers
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import Node, Taint
from gpuready.model.unknown import Unknown


class NodeMeta(Meta, frozen=True):
    managed_fields: tuple[Managed, ...] = ()


class NodeSpec(Wire, frozen=True):
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    provider_id: str = msgspec.field(name="providerID", default="")


class Condition(Wire, frozen=True):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class NodeInfo(Wire, frozen=True):
    kubelet_version: str = ""
    container_runtime_version: str = ""
    operating_system: str = "linux"
    architecture: str = "amd64"
    os_image: str = ""
    kernel_version: str = ""


class RuntimeHandler(Wire, frozen=True):
    """From Kubernetes 1.30 on, of containerd 2.0 and CRI-O 1.30; the default one is named "" as well."""

    name: str = ""


class NodeStatus(Wire, frozen=True):
    conditions: tuple[Condition, ...] = ()
    node_info: NodeInfo = NodeInfo()
    capacity: Mapping[str, str] = {}
    allocatable: Mapping[str, str] = {}
    runtime_handlers: tuple[RuntimeHandler, ...] | None = None


class WireNode(Wire, frozen=True):
    metadata: NodeMeta
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


DECODER = msgspec.json.Decoder(LIST[WireNode])


def parse(pages: Pages) -> tuple[Node, ...]:
    return tuple(_node(item) for page in pages for item in DECODER.decode(page))


def _node(item: WireNode) -> Node:
    meta, spec, status = item.metadata, item.spec, item.status
    info = status.node_info
    ready, reason = _ready(status.conditions)
    return Node(
        name=meta.name,
        uid=meta.uid,
        labels=meta.labels,
        annotations=meta.annotations,
        label_managers=label_managers(meta.managed_fields),
        managers=managers(meta.managed_fields),
        taints=spec.taints,
        unschedulable=spec.unschedulable,
        ready=ready,
        ready_reason=reason,
        kubelet=info.kubelet_version,
        runtime=info.container_runtime_version,
        os=info.operating_system,
        arch=info.architecture,
        os_image=info.os_image,
        kernel=info.kernel_version,
        provider_id=spec.provider_id,
        capacity=whole_numbers(status.capacity),
        allocatable=whole_numbers(status.allocatable),
        handlers=tuple(sorted(one.name for one in status.runtime_handlers or () if one.name)),
    )


def _ready(conditions: tuple[Condition, ...]) -> tuple[bool | Unknown, str]:
    """Status Unknown (the kubelet is silent) is not ready: that is what the API says, not that we could not look."""
    condition = next((c for c in conditions if c.type == "Ready"), None)
    if condition is None:
        return Unknown("the node reports no Ready condition"), ""
    if condition.status == "True":
        return True, ""
    return False, ": ".join(filter(None, (condition.reason, condition.message)))


COLLECTOR = Collector(gives="nodes", asks=(Ask(path="/api/v1/nodes"),), parse=parse)
