"""Objects of NVIDIA's operator by which it owns the GPUs. A cluster without the operator has none of the resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gpuready.collectors._wire import LIST, Meta, Wire
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import Condition, StackObject

# github.com/NVIDIA/gpu-operator, CRDs at v26.7.0: ClusterPolicy v1, NVIDIADriver v1alpha1, GPUCluster v1alpha1
KINDS = (
    ("ClusterPolicy", "clusterpolicies"),
    ("NVIDIADriver", "nvidiadrivers"),
    ("GPUCluster", "gpuclusters"),
)


# github.com/NVIDIA/gpu-operator, deployments/gpu-operator/templates/_helpers.tpl: labels of all that the chart makes
CHART = "gpu-operator-"


class Status(Wire, frozen=True):
    state: str = ""
    conditions: tuple[Condition, ...] | None = None


class WireObject(Wire, frozen=True):
    metadata: Meta
    spec: Mapping[str, msgspec.Raw] = {}
    status: Status | None = None


DECODER = msgspec.json.Decoder(LIST[WireObject])


def parse(*answers: Pages) -> tuple[StackObject, ...]:
    return tuple(
        obj for (kind, _), pages in zip(KINDS, answers, strict=True) for page in pages for obj in _objects(kind, page)
    )


def _objects(kind: str, page: bytes) -> Iterator[StackObject]:
    for item in DECODER.decode(page):
        status = item.status or Status()
        yield StackObject(
            kind=kind,
            name=item.metadata.name,
            detail=f"state {status.state}" if status.state else "",
            state=status.state,
            conditions=status.conditions or (),
            fields=tuple(sorted(item.spec)),
            version=_version(item.metadata.labels),
        )


def _version(labels: Mapping[str, str]) -> str:
    chart = labels.get("helm.sh/chart", "")
    return chart.removeprefix(CHART) if chart.startswith(CHART) else labels.get("app.kubernetes.io/version", "")


COLLECTOR = Collector(
    gives="stacks",
    asks=tuple(Ask(path=f"/apis/nvidia.com/*/{plural}", optional=True) for _, plural in KINDS),
    parse=parse,
)
