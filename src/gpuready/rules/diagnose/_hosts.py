"""What rules over the state of machines share: which nodes are in question, and how words and facts make one finding.

A node that offers its GPUs and on which every pod that concerns GPUs runs proves its own lower links. Only of the
others is anything asked, and only of them does it matter what could not be read (docs/decisions/0002).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from statistics import median

import msgspec

from gpuready.knowledge.distributions import Distribution, of_config, of_node
from gpuready.knowledge.speakers import family
from gpuready.model.facts.cluster import ClusterFacts, ContainerUse, Node, Pod
from gpuready.model.facts.host import DriverFiles, HostFacts, PciGpu, RuntimeConfig
from gpuready.model.facts.said import Said
from gpuready.model.fleet import each
from gpuready.model.names import AGENT_LABEL
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import TouchedUnknown, Unknown, complete, known, members
from gpuready.rules.diagnose._objects import FAMILIES, asks, gpus, meant_for_gpus, until_unknown

Hosts = Mapping[str, HostFacts | Unknown]
Look = Callable[[HostFacts], Iterator[Finding]]
Seen = Callable[[ClusterFacts, Hosts], Iterator[Finding]]

ASK = "gpuready doctor --host-facts"
ON_NODES = frozenset({"driver", "toolkit", "plugin", "dra", "mig", "vgpu"})  # parts of a stack that run where GPUs are
DRIVER_CONTAINER = "/run/nvidia/driver"

_last: list[tuple[ClusterFacts, Hosts, tuple[str, ...]]] = []  # found once for all rules


# -- which nodes


def in_question(cluster: ClusterFacts, hosts: Hosts) -> tuple[str, ...]:
    """GPU nodes that do not offer their GPUs, or on which a pod that concerns GPUs is in trouble, by name."""
    if not (_last and _last[0][0] is cluster and _last[0][1] is hosts):
        _last[:] = [(cluster, hosts, _in_question(cluster, hosts))]
    return _last[0][2]


def _in_question(cluster: ClusterFacts, hosts: Hosts) -> tuple[str, ...]:
    nodes = members(cluster.nodes)
    pods = () if isinstance(cluster.pods, Unknown) else members(cluster.pods)
    names = {node.name for node in nodes}
    offering = {node.name for node in nodes if offers(node)}
    with_gpus = {node.name for node in nodes if meant_for_gpus(node) or AGENT_LABEL in node.labels} | set(hosts)
    if not offering:
        with_gpus |= {pod.node for pod in pods if _of_node(pod)}
        if not with_gpus and any(pod.unscheduled and asks(pod) for pod in pods):
            with_gpus = names  # somebody wants a GPU, and nothing tells where one might be
    troubled = {pod.node for pod in pods if fails(pod) and _concerns(pod, with_gpus)}
    return tuple(sorted(((with_gpus - offering) | troubled) & names))


def offers(node: Node) -> bool:
    """All the GPUs that it ever offered, and one at least."""
    offered = gpus(node.capacity)
    return bool(offered) and all(node.allocatable.get(name, 0) >= number for name, number in offered.items())


def fails(pod: Pod) -> bool:
    """It does not run as it should, and not because its own program ended."""
    if not pod.node or pod.phase == "Succeeded":
        return False
    if pod.phase == "Running":
        return any(not _well(c) for c in pod.containers if not c.init)
    return pod.phase != "Failed" or bool(pod.reason)


def _well(container: ContainerUse) -> bool:
    return container.ready or container.state.startswith("terminated:0")


def _of_node(pod: Pod) -> bool:
    return bool(pod.node) and family(pod.name) in ON_NODES


def _concerns(pod: Pod, with_gpus: set[str]) -> bool:
    wants = asks(pod) or pod.claims or "nvidia" in pod.runtime_class or any(c.visible_devices for c in pod.containers)
    return bool(wants) or _of_node(pod) or (pod.node in with_gpus and family(pod.name) in FAMILIES)


# -- rules


def hosts_rule(id: str, link: str, title: str, look: Look, because: tuple[str, ...] = ()) -> Rule:
    """A rule that looks at each node in question by itself."""

    def find(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
        yield from of_hosts(cluster, hosts, look)

    return Rule(id, "diagnose", "fail", title, find, link=link, because=because)


def of_hosts(cluster: ClusterFacts, hosts: Hosts, look: Look) -> Iterator[Finding]:
    """What `look` finds on the nodes in question; then, if some of them could not be judged, an Unknown."""
    yield from each(in_question(cluster, hosts), partial(of_host, hosts, look))
    whole(cluster)


def whole(cluster: ClusterFacts) -> None:
    """Raises TouchedUnknown where nodes in question may have been missed."""
    complete(cluster.nodes)
    complete(known(cluster.pods))


def of_host(hosts: Hosts, look: Look, name: str) -> Iterator[Finding]:
    """What `look` finds on this one."""
    host = host_of(hosts, name)
    try:
        yield from look(host)
    except TouchedUnknown as touched:
        if touched.unknown.ask != ASK:
            raise
        raise TouchedUnknown(Unknown(f"only a part of node/{name} was looked at", ASK)) from touched


def host_of(hosts: Hosts, name: str) -> HostFacts:
    return known(hosts.get(name, Unknown(f"node/{name} was not looked at", ASK)))


def with_hosts(rule: Rule, look: Look) -> Rule:
    """The rule over words, which finds the same cause on machines too."""
    return with_seen(rule, partial(of_hosts, look=look))


def with_seen(rule: Rule, seen: Seen) -> Rule:
    """One rule, one finding a node: what was said of a node on which the cause was seen becomes evidence of it."""

    def find(said: Said, cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
        yield from joined(rule, said, seen(cluster, hosts))

    return with_find(rule, find)


def with_find(rule: Rule, find: Callable[..., Iterator[Finding]]) -> Rule:
    """The same rule over more facts than words: `find` yields what `joined` makes of both."""
    return msgspec.structs.replace(rule, find=find)


def joined(rule: Rule, said: Said, seen: Iterator[Finding]) -> Iterator[Finding]:
    """What the rule over words finds, and what was seen; what neither could read is touched at the end."""
    gaps: list[Unknown] = []
    told = until_unknown(rule.find(said), gaps)
    yield from together(until_unknown(seen, gaps), told)
    for gap in gaps:
        raise TouchedUnknown(gap)


def together(seen: Iterable[Finding], told: list[Finding]) -> Iterator[Finding]:
    """Every finding that was seen, with the words about its nodes; then the words about others."""
    absorbed: list[Finding] = []
    for finding in seen:
        about = [one for one in told if set(one.nodes) & set(finding.nodes)]
        absorbed += about
        words = (line for one in about for line in one.evidence)
        pods = (pod for one in about for pod in one.pods)
        yield msgspec.structs.replace(
            finding,
            evidence=tuple(dict.fromkeys((*finding.evidence, *words))),
            pods=tuple(dict.fromkeys((*finding.pods, *pods))),
            weight=finding.weight and finding.weight + sum(one.weight for one in about),
        )
    yield from (one for one in told if one not in absorbed)


def on_host(
    host: HostFacts, says: str, evidence: Iterable[str], next_: str, weight: float = 0.0, pods: tuple[str, ...] = ()
) -> Finding:
    """`weight` as in Finding: below SURE it only fits."""
    node = host.node
    return Finding(
        at=f"node/{node}", says=says, evidence=tuple(evidence), next=next_, nodes=(node,), weight=weight, pods=pods
    )


# -- what looks have in common


def idle_gpus(host: HostFacts) -> tuple[PciGpu, ...]:
    """GPUs on the bus that no driver holds while no nvidia module is loaded."""
    if known(host.kernel_driver_version) is not None:
        return ()
    return tuple(gpu for gpu in known(host.gpus) if gpu.kernel_driver is None)


def installed(host: HostFacts) -> tuple[DriverFiles, ...]:
    """The driver's libraries on the machine itself, not those of a driver container."""
    return tuple(files for files in known(host.driver_files) if not files.root.startswith(DRIVER_CONTAINER))


def on_bus(cluster: ClusterFacts, hosts: Hosts) -> tuple[str, ...]:
    """The GPUs that were seen on nodes, a line each node. Touches what could not be seen where none was."""
    names = {node.name for node in members(cluster.nodes)}
    seen = {name: host if isinstance(host, Unknown) else host.gpus for name, host in hosts.items() if name in names}
    found = {name: len(gpus) for name, gpus in sorted(seen.items()) if not isinstance(gpus, Unknown)}
    lines = tuple(f"node/{name}: {number} GPU on the PCI bus" for name, number in found.items() if number)
    for unseen in () if lines else seen.values():
        known(unseen)
    return lines


def bus(found: Iterable[PciGpu]) -> tuple[str, ...]:
    return tuple(f"PCI {gpu.address}: driver in use: {gpu.kernel_driver or 'none'}" for gpu in found)


def config_of(host: HostFacts, node: Node) -> RuntimeConfig | None:
    """The configuration of the runtime that the node runs (containerd://2.2.9); None where only others' were found.

    A distribution that brings its own containerd does not read /etc/containerd, whatever lies there.
    """
    running = node.runtime.partition(":")[0]
    own = distribution_of(node) if running == "containerd" else None
    for config in known(host.runtimes):
        of = of_config(config.path) if config.runtime == "containerd" else None
        if config.runtime == running and (own.name if own else "") == (of.name if of else ""):
            return config
    return None


def distribution_of(node: Node) -> Distribution | None:
    """The one that makes the configuration of the node's containerd, so that what is written there does not stay."""
    return of_node(node.kubelet, node.labels)


def runtime_version(node: Node) -> tuple[int, int]:
    """(2, 2); (0, 0) when it is not told."""
    numbers = node.runtime.partition("://")[2].split(".")[:2]
    return (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 and all(n.isdigit() for n in numbers) else (0, 0)


def node_of(cluster: ClusterFacts, name: str) -> Node:
    return next(node for node in members(cluster.nodes) if node.name == name)


def seconds_ahead(host: HostFacts) -> float | None:
    """Of its clock, by the clock of the asker; None when they were not compared."""
    try:
        return (datetime.fromisoformat(host.as_of) - datetime.fromisoformat(host.asked_at)).total_seconds()
    except (ValueError, TypeError):
        return None


def usually_ahead(hosts: Hosts) -> float:
    """Of most nodes, where there are enough of them to tell: then it is the asker's clock that is wrong."""
    read = (seconds_ahead(host) for host in hosts.values() if not isinstance(host, Unknown))
    ahead = [seconds for seconds in read if seconds is not None]
    return median(ahead) if len(ahead) > 2 else 0.0
