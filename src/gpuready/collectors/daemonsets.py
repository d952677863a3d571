"""DaemonSets: which of them serve GPUs, and by what they choose their nodes."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gpuready.collectors._placement import Affinity, placement
from gpuready.collectors._wire import LIST, Meta, Volume, Wire, mounts_device_plugin_dir
from gpuready.model.collector import Ask, Collector, Pages
from gpuready.model.facts.cluster import DaemonSet, Placement, PodToleration


class Container(Wire, frozen=True):
    image: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()


class PodSpec(Wire, frozen=True):
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    node_selector: Mapping[str, str] = {}
    affinity: Affinity | None = None
    tolerations: tuple[PodToleration, ...] = ()
    runtime_class_name: str | None = None


class Template(Wire, frozen=True):
    spec: PodSpec = PodSpec()


class Spec(Wire, frozen=True):
    template: Template = Template()


class Status(Wire, frozen=True):
    desired_number_scheduled: int = 0
    current_number_scheduled: int = 0
    number_misscheduled: int = 0
    number_ready: int = 0


class WireDaemonSet(Wire, frozen=True):
    metadata: Meta
    spec: Spec = Spec()
    status: Status = Status()


DECODER = msgspec.json.Decoder(LIST[WireDaemonSet])


def parse(pages: Pages) -> tuple[DaemonSet, ...]:
    return tuple(_daemonset(item) for page in pages for item in DECODER.decode(page))


def _daemonset(item: WireDaemonSet) -> DaemonSet:
    pod = item.spec.template.spec
    containers = (*pod.init_containers, *pod.containers)
    where = placement(pod.node_selector, pod.affinity, pod.tolerations)
    return DaemonSet(
        namespace=item.metadata.namespace,
        name=item.metadata.name,
        uid=item.metadata.uid,
        images=tuple(c.image for c in containers),
        labels=item.metadata.labels,
        device_plugin_dir=mounts_device_plugin_dir(pod.volumes),
        args=tuple(word for c in containers for word in (*c.command, *c.args)),
        selects=_selects(where),
        desired=item.status.desired_number_scheduled,
        ready=item.status.number_ready,
        current=item.status.current_number_scheduled,
        misscheduled=item.status.number_misscheduled,
        runtime_class=pod.runtime_class_name or "",
        placement=where,
    )


def _selects(where: Placement) -> tuple[str, ...]:
    labels = (r.key for term in where.terms for r in term if r.key != "metadata.name")
    return tuple(sorted({*where.selector, *labels}))


COLLECTOR = Collector(gives="daemonsets", asks=(Ask(path="/apis/apps/v1/daemonsets"),), parse=parse)
