"""All namespaces, narrowly: what Pod Security lets into them, and whether they are being deleted."""

from __future__ import annotations

import msgspec

from gpuready.collectors._wire import LIST
from gpuready.collectors.namespace import WireNamespace, blocked
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import Namespace

POD_SECURITY = "pod-security.kubernetes.io/"
DECODER = msgspec.json.Decoder(LIST[WireNamespace])


def parse(pages: Pages) -> tuple[Namespace, ...]:
    return tuple(
        Namespace(
            name=item.metadata.name,
            phase=item.status.phase,
            labels={key: value for key, value in item.metadata.labels.items() if key.startswith(POD_SECURITY)},
            blocked=blocked(item) if item.status.phase == "Terminating" else (),
        )
        for page in pages
        for item in DECODER.decode(page)
    )


COLLECTOR = Collector(gives="namespaces", asks=(Ask(path="/api/v1/namespaces"),), parse=parse, doctor=True)
