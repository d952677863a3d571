"""NVIDIA's DRA driver: device classes that select its devices, and slices that offer them.

Driver and class names: deployments/helm of github.com/kubernetes-sigs/dra-driver-nvidia-gpu.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gpuready.collectors._wire import LIST, Meta, Wire
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import StackObject

DRIVER = "gpu.nvidia.com"


class Cel(Wire, frozen=True):
    expression: str = ""


class Selector(Wire, frozen=True):
    cel: Cel | None = None


class ClassSpec(Wire, frozen=True):
    selectors: tuple[Selector, ...] = ()
    extended_resource_name: str | None = None  # resource.k8s.io/v1: pods ask for it as if a device plugin served it


class DeviceClass(Wire, frozen=True):
    metadata: Meta
    spec: ClassSpec = ClassSpec()


class Pool(Wire, frozen=True):
    name: str = ""


class SliceSpec(Wire, frozen=True):
    driver: str
    node_name: str | None = None
    pool: Pool = Pool()


class Slice(Wire, frozen=True):
    metadata: Meta
    spec: SliceSpec


CLASSES = msgspec.json.Decoder(LIST[DeviceClass])
SLICES = msgspec.json.Decoder(LIST[Slice])


def parse(classes: Pages, slices: Pages) -> tuple[StackObject, ...]:
    return (
        *(obj for page in classes for obj in _classes(page)),
        *(obj for page in slices for obj in _slices(page)),
    )


def _classes(page: bytes) -> Iterator[StackObject]:
    for item in CLASSES.decode(page):
        expressions = " ".join(s.cel.expression for s in item.spec.selectors if s.cel)
        if f"'{DRIVER}'" in expressions or f'"{DRIVER}"' in expressions:
            serves = item.spec.extended_resource_name
            yield StackObject(kind="DeviceClass", name=item.metadata.name, detail=f"serves {serves}" if serves else "")


def _slices(page: bytes) -> Iterator[StackObject]:
    for item in SLICES.decode(page):
        if item.spec.driver == DRIVER:
            yield StackObject(
                kind="ResourceSlice",
                name=item.metadata.name,
                detail=f"pool {item.spec.pool.name}",
                node=item.spec.node_name or "",
            )


COLLECTOR = Collector(
    gives="dra",
    asks=(
        Ask(path="/apis/resource.k8s.io/*/deviceclasses", optional=True),
        Ask(path="/apis/resource.k8s.io/*/resourceslices", optional=True),
    ),
    parse=parse,
)
