"""Where no agent of ours runs: the GPUs of a node as its kubelet offers them and as pods ask for them.

What nobody tells is not made up: a GPU has a UUID here only once a probe of this run has seen it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from gpuready.engine.operator_waits import gpus_of
from gpuready.engine.waits import whole
from gpuready.model.facts.agent import AgentReport, Gpu, Holder
from gpuready.model.facts.compute import ComputeReport
from gpuready.model.names import RESOURCE
from gpuready.model.plan import Ref
from gpuready.model.ports import Cluster
from gpuready.model.unknown import Unknown

Json = dict[str, Any]
NOT_TOLD = Unknown("no agent of gpuready runs there")


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """One node's."""

    capacity: int
    allocatable: int  # without those that the device plugin calls unhealthy
    holders: tuple[Holder, ...] = ()  # one for each GPU that is taken

    @property
    def free(self) -> int:
        return max(0, self.allocatable - len(self.holders))


def offers(cluster: Cluster, nodes: Iterable[str]) -> dict[str, Offer | Unknown]:
    return {node: _offer(cluster, node) for node in nodes}


def _offer(cluster: Cluster, node: str) -> Offer | Unknown:
    live = cluster.get(Ref(api_version="v1", kind="Node", name=node))
    if live is None:
        return Unknown(f"node/{node} is not in the cluster", "kubectl get nodes")
    status = live.get("status", {})
    capacity, allocatable = (whole((status.get(k) or {}).get(RESOURCE)) for k in ("capacity", "allocatable"))
    if not capacity and gpus_of(live):
        return Unknown(
            f"node/{node} offers parts of GPUs, which verify does not ask for", f"kubectl describe node {node}"
        )
    running = f"spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed"
    pods = cluster.list_objects("v1", "Pod", fields=running)
    return Offer(capacity=capacity, allocatable=allocatable, holders=tuple(h for pod in pods for h in _held_by(pod)))


def _held_by(pod: Json) -> Iterator[Holder]:
    meta = pod["metadata"]
    for container in pod["spec"].get("containers") or ():
        resources = container.get("resources") or {}
        asked = whole((resources.get("limits") or resources.get("requests") or {}).get(RESOURCE))
        yield from [Holder(namespace=meta["namespace"], pod=meta["name"], container=container["name"])] * asked


def reports(
    told: Mapping[str, Offer | Unknown],
    probes: Mapping[str, ComputeReport | Unknown],
    models: Mapping[str, str],
    now: str = "",
) -> dict[str, AgentReport | Unknown]:
    """As an agent would have said it, so that the same gates judge it. `models`: by node, from the look at it."""
    return {
        node: offer
        if isinstance(offer, Unknown)
        else _report(node, offer, probes.get(node), models.get(node, "?"), now)
        for node, offer in told.items()
    }


def _report(node: str, offer: Offer, probe: ComputeReport | Unknown | None, model: str, now: str) -> AgentReport:
    runs = () if probe is None or isinstance(probe, Unknown) else probe.gpus
    missing = max(0, offer.free - len(runs))
    lost = max(0, offer.capacity - offer.allocatable)
    unhealthy = f"the device plugin reports it unhealthy: {offer.allocatable} of {offer.capacity} are allocatable"
    gpus = [
        *(_gpu(run.uuid, run.name, "ok") for run in runs),
        *(_gpu(f"taken-{i}", model, "ok", held=(h,)) for i, h in enumerate(offer.holders, 1)),
        *(_gpu(f"free-{i}", model, "ok") for i in range(1, missing + 1)),
        *(_gpu(f"lost-{i}", model, "failed", reason=unhealthy) for i in range(1, lost + 1)),
    ]
    return AgentReport(
        node=node,
        as_of=now,
        version="",
        driver=NOT_TOLD,
        cuda=NOT_TOLD,
        injection="",
        registered=True,
        gpus=tuple(msgspec.structs.replace(g, index=i) for i, g in enumerate(gpus)),
        replayed=not (probe is None or isinstance(probe, Unknown)) and probe.replayed,
    )


def _gpu(uuid: str, model: str, health: str, reason: str = "", held: tuple[Holder, ...] = ()) -> Gpu:
    return Gpu(
        index=0,
        uuid=uuid,
        minor=None,
        model=model,
        memory_mib=NOT_TOLD,
        pci="",
        numa_node=None,
        health=health,
        reason=reason,
        held_by=held,
    )
