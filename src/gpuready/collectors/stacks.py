"""Objects of NVIDIA's operator by which it owns the GPUs. A cluster without the operator has none of the resources."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gpuready.collectors._wire import LIST, Meta, Wire
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import StackObject

# github.com/NVIDIA/gpu-operator, CRDs at v26.7.0: ClusterPolicy v1, NVIDIADriver v1alpha1, GPUCluster v1alpha1
KINDS = (
    ("ClusterPolicy", "clusterpolicies"),
    ("NVIDIADriver", "nvidiadrivers"),
    ("GPUCluster", "gpuclusters"),
)


class Status(Wire, frozen=True):
    state: str = ""


class WireObject(Wire, frozen=True):
    metadata: Meta
    status: Status | None = None


DECODER = msgspec.json.Decoder(LIST[WireObject])


def parse(*answers: Pages) -> tuple[StackObject, ...]:
    return tuple(
        obj for (kind, _), pages in zip(KINDS, answers, strict=True) for page in pages for obj in _objects(kind, page)
    )


def _objects(kind: str, page: bytes) -> Iterator[StackObject]:
    for item in DECODER.decode(page):
        state = item.status.state if item.status else ""
        yield StackObject(kind=kind, name=item.metadata.name, detail=f"state {state}" if state else "")


COLLECTOR = Collector(
    gives="stacks",
    asks=tuple(Ask(path=f"/apis/nvidia.com/*/{plural}", optional=True) for _, plural in KINDS),
    parse=parse,
)
