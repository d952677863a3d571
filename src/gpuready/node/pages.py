"""What the agent serves over HTTP: /metrics, /health, /ready, /gpus, /host."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gpuready.model.facts.agent import AgentReport, Gpu, Holder
from gpuready.model.facts.host import HostFacts
from gpuready.model.scrub import scrub
from gpuready.model.unknown import Unknown
from gpuready.node.exposition import CONTENT_TYPE, render
from gpuready.node.gpus import Sample, busid_for_sysfs
from gpuready.node.http import Answer
from gpuready.node.judge import View
from gpuready.node.metrics import Own, Scrape, gpu_families, own_families, said
from gpuready.node.podresources import Holders

JSON_TYPE = "application/json"


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where the pages get their matter from, asked anew for each."""

    node: str
    hostname_label: str
    view: Callable[[], View]
    samples: Callable[[], Awaitable[Sequence[Sample] | Unknown]]
    holders: Callable[[], Awaitable[Holders | Unknown]]
    own: Callable[[], Own]
    clock: Callable[[], float]  # monotonic
    utc: Callable[[], str]
    host: Callable[[], HostFacts]  # reads files


async def metrics(sources: Sources) -> Answer:
    samples, holders, view = await sources.samples(), await sources.holders(), sources.view()
    scrape = Scrape(
        node=sources.node,
        hostname_label=sources.hostname_label,
        driver=view.driver,
        gpus=view.gpus,
        samples=samples,
        health=view.health,
        holders=holders,
        now=sources.clock(),
    )
    families = [*gpu_families(scrape), *own_families(sources.own(), view.health)]
    return Answer(kind=CONTENT_TYPE, body=render(families))


async def health(_: Sources) -> Answer:
    """Answers as long as the agent runs its loop; for a liveness probe."""
    return Answer(body="OK\n")


async def ready(sources: Sources) -> Answer:
    """The kubelet has the plugin and NVML was read; for a readiness probe."""
    if not sources.own().registered:
        return Answer(status=503, body="not registered with the kubelet\n")
    if sources.view().blind:
        return Answer(status=503, body=sources.view().blind + "\n")
    return Answer(body="OK\n")


async def gpus(sources: Sources) -> Answer:
    return Answer(kind=JSON_TYPE, body=msgspec.json.encode(report(sources, await sources.holders())).decode())


async def host(sources: Sources) -> Answer:
    """The state of the node as far as the agent can see it; see doctor. Read when it is asked for, beside the loop."""
    facts = await asyncio.to_thread(sources.host)
    return Answer(kind=JSON_TYPE, body=msgspec.json.encode(scrub(msgspec.to_builtins(facts))).decode())


def report(sources: Sources, holders: Holders | Unknown) -> AgentReport:
    view, own = sources.view(), sources.own()
    return AgentReport(
        node=sources.node,
        as_of=sources.utc(),
        version=own.version,
        driver=view.driver,
        cuda=view.cuda,
        injection=own.injection,
        registered=own.registered,
        gpus=reported(view, holders) if view.snapshot else Unknown(view.blind),
        replayed=view.replayed,
    )


def reported(view: View, holders: Holders | Unknown) -> tuple[Gpu, ...]:
    known = tuple(
        Gpu(
            index=gpu.index,
            uuid=gpu.uuid,
            minor=gpu.minor if isinstance(gpu.minor, int) else None,
            model=said(gpu.name),
            memory_mib=gpu.memory_mib,
            pci=busid_for_sysfs(said(gpu.pci)),
            numa_node=gpu.numa,
            health=view.health[gpu.uuid].state,
            reason=view.refused.get(gpu.index) or view.health[gpu.uuid].reason,
            held_by=held(holders, gpu.uuid),
        )
        for gpu in view.gpus
    )
    return (*known, *(nameless(index, why) for index, why in view.undescribed().items()))


def held(holders: Holders | Unknown, uuid: str) -> tuple[Holder, ...] | Unknown:
    return holders if isinstance(holders, Unknown) else holders.get(uuid, ())


def nameless(index: int, why: str) -> Gpu:
    """A GPU that the driver counts and does not describe."""
    unknown = Unknown(why)
    return Gpu(
        index=index,
        uuid="",
        minor=None,
        model="",
        memory_mib=unknown,
        pci="",
        numa_node=None,
        health="failed",
        reason=why,
        held_by=unknown,
    )
