"""ResourceQuotas that bound GPUs: what a namespace may have, and what it has."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gpuready.collectors._wire import LIST, Meta, Wire, whole_number
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import Quota

SIGN = "nvidia.com/"  # requests.nvidia.com/gpu; an extended resource may be bounded by its requests alone


class Status(Wire, frozen=True):
    hard: Mapping[str, str] = {}
    used: Mapping[str, str] = {}


class WireQuota(Wire, frozen=True):
    metadata: Meta
    spec: Status = Status()
    status: Status = Status()


DECODER = msgspec.json.Decoder(LIST[WireQuota])


def parse(pages: Pages) -> tuple[Quota, ...]:
    return tuple(
        Quota(
            namespace=item.metadata.namespace,
            name=item.metadata.name,
            hard=_of_gpus(item.spec.hard),
            used=_of_gpus(item.status.used),
        )
        for page in pages
        for item in DECODER.decode(page)
        if any(SIGN in name for name in item.spec.hard)
    )


def _of_gpus(quantities: Mapping[str, str]) -> Mapping[str, int]:
    return {name: whole_number(text) for name, text in quantities.items() if SIGN in name}


COLLECTOR = Collector(gives="quotas", asks=(Ask(path="/api/v1/resourcequotas"),), parse=parse, doctor=True)
