"""NodeFeatures: on which nodes Node Feature Discovery saw a device of NVIDIA's, before any label is made of it.

github.com/kubernetes-sigs/node-feature-discovery, api/nfd/v1alpha1: one object a node, written by its worker.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from gpuready.collectors._wire import LIST, Meta, Wire
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import NodeFeature

NODE = "nfd.node.kubernetes.io/node-name"
NVIDIA = re.compile(r"(?:^|/)pci-(?:\w+_)?10de(?:_.+)?\.present$")


class Spec(Wire, frozen=True):
    labels: Mapping[str, str] | None = None


class WireFeature(Wire, frozen=True):
    metadata: Meta
    spec: Spec = Spec()


DECODER = msgspec.json.Decoder(LIST[WireFeature])


def parse(pages: Pages) -> tuple[NodeFeature, ...]:
    """Objects that others add for a node (GFD's, say) count too: what one of them has, the node has."""
    seen: dict[str, bool] = {}
    for page in pages:
        for item in DECODER.decode(page):
            node = item.metadata.labels.get(NODE, item.metadata.name)
            seen[node] = seen.get(node, False) or any(map(NVIDIA.search, item.spec.labels or ()))
    return tuple(NodeFeature(node=node, nvidia=nvidia) for node, nvidia in sorted(seen.items()))


COLLECTOR = Collector(
    gives="features",
    asks=(Ask(path="/apis/nfd.k8s-sigs.io/*/nodefeatures", limit=50, optional=True),),  # some 50 kB each
    parse=parse,
    doctor=True,
)
