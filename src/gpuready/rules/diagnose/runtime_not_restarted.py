"""The configuration has the handler, and the runtime that runs says that it has not: it was not restarted since."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.knowledge.lexicon import sign
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.host import HostFacts
from gpuready.model.facts.said import Said
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.diagnose._handlers import ABSENT, WHO, asking, configs, overridden, wanted
from gpuready.rules.diagnose._hosts import Hosts, distribution_of, node_of, of_hosts, on_host
from gpuready.rules.diagnose._said import lines_heard, quoted

SIGNS = tuple(sign(text) for text in ABSENT)


def find(said: Said, cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    heard = [line for _, line in lines_heard(said, SIGNS, frozenset(WHO))]

    def look(host: HostFacts) -> Iterator[Finding]:
        lines = [line for line in heard if line.node == host.node]
        node = node_of(cluster, host.node)
        lacks = node.handlers and [one for one in wanted(cluster, host.node) if one not in node.handlers]
        for handler, pods, config in configs(cluster, host) if lacks or (lines and not node.handlers) else ():
            about = [line for line in lines if f'"{handler}"' in line.text or f" {handler} " in f"{line.text} "]
            has = handler in config.handlers and not overridden(config, node, handler)
            if handler in node.handlers or not (about or node.handlers) or not has or config.problem:
                continue
            own, unit = distribution_of(node), "crio" if config.runtime == "cri-o" else config.runtime
            told = f"status.runtimeHandlers of node/{node.name}: {', '.join(node.handlers)}"
            yield on_host(
                host,
                f"{config.runtime} runs without the handler {handler}, which its configuration has",
                (
                    f"{', '.join(config.files)}: handlers {', '.join(config.handlers)}",
                    *((told,) if node.handlers else ()),
                    *asking(pods),
                    *quoted(about),
                ),
                f"on the node: {own.restart if own else f'`systemctl restart {unit}`'}; containers run on meanwhile",
                pods=tuple(pod.key for pod in pods),
            )

    yield from of_hosts(cluster, hosts, look)
    for missing in said.missing:
        known(missing)


RULE = Rule(
    "runtime-not-restarted",
    "diagnose",
    "fail",
    "The running container runtime has not read its configuration",
    find,
    link="runtime config",
)
