"""The CRDs of the GPU stack, each by its name: all of a cluster's, with their schemas, would be many megabytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from gpuready.collectors._wire import Wire
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import Condition, Crd

# github.com/NVIDIA/gpu-operator v26.7.0 and github.com/kubernetes-sigs/node-feature-discovery v0.18, CRDs
NAMES = (
    "clusterpolicies.nvidia.com",
    "nvidiadrivers.nvidia.com",
    "gpuclusters.nvidia.com",
    "computedomains.resource.nvidia.com",
    "nodefeatures.nfd.k8s-sigs.io",
    "nodefeaturerules.nfd.k8s-sigs.io",
)
PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


class CrdMeta(Wire, frozen=True):
    name: str
    deletion_timestamp: str | None = None


class Object(Wire, frozen=True):
    """One level of a schema; what is below stays text."""

    properties: Mapping[str, msgspec.Raw] = {}


class Root(Wire, frozen=True):
    spec: Object = Object()


class Schema(Wire, frozen=True):
    properties: Root = Root()


class Validation(Wire, frozen=True):
    schema: Schema = msgspec.field(name="openAPIV3Schema", default=Schema())


class Version(Wire, frozen=True):
    name: str
    served: bool = False
    storage: bool = False
    validation: Validation = msgspec.field(name="schema", default=Validation())


class Spec(Wire, frozen=True):
    versions: tuple[Version, ...] = ()
    preserve_unknown_fields: bool = False


class Status(Wire, frozen=True):
    stored_versions: tuple[str, ...] | None = None
    conditions: tuple[Condition, ...] | None = None


class WireCrd(Wire, frozen=True):
    metadata: CrdMeta
    spec: Spec = Spec()
    status: Status = Status()


DECODER = msgspec.json.Decoder(WireCrd)


def parse(*answers: Pages) -> tuple[Crd, ...]:
    return tuple(crd for pages in answers for crd in _crd(pages))


def _crd(pages: Pages) -> Iterator[Crd]:
    for page in pages:
        item = DECODER.decode(page)
        served = [version for version in item.spec.versions if version.served]
        yield Crd(
            name=item.metadata.name,
            served=tuple(version.name for version in served),
            stored=item.status.stored_versions or (),
            fields=tuple(sorted(_stored(served).validation.schema.properties.spec.properties)) if served else (),
            prunes=not item.spec.preserve_unknown_fields,
            terminating=item.metadata.deletion_timestamp is not None,
            conditions=item.status.conditions or (),
        )


def _stored(served: list[Version]) -> Version:
    """The one that objects are written in."""
    return next((version for version in served if version.storage), served[0])


COLLECTOR = Collector(
    gives="crds",
    asks=tuple(Ask(path=f"{PATH}/{name}", limit=0, optional=True) for name in NAMES),
    parse=parse,
    doctor=True,
)
