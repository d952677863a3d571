"""RuntimeClasses: which handler of the container runtime a pod gets when it names one."""

from __future__ import annotations

import msgspec

from gpuready.collectors._wire import LIST, Meta, Wire
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import RuntimeClass


class WireClass(Wire, frozen=True):
    metadata: Meta
    handler: str


DECODER = msgspec.json.Decoder(LIST[WireClass])


def parse(pages: Pages) -> tuple[RuntimeClass, ...]:
    return tuple(
        RuntimeClass(name=item.metadata.name, handler=item.handler) for page in pages for item in DECODER.decode(page)
    )


COLLECTOR = Collector(
    gives="runtime_classes", asks=(Ask(path="/apis/node.k8s.io/v1/runtimeclasses"),), parse=parse, doctor=True
)
