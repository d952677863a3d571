"""containerd 1.x replaces the whole section of a plugin by that of an imported file: the runtimes of the root file
are gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.rules.diagnose._handlers import MERGES, asking, configs, overridden
from gpuready.rules.diagnose._hosts import Hosts, node_of, of_hosts, on_host, with_seen
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "containerd-imported-file-overrides-cri",
    "runtime config",
    "containerd's CRI part is off or lacks its runtimes: a configuration file overrides it",
    signs=(
        "no corresponding runtime configured in",
        "{cri off}",
        "default_runtime_name & invalid plugin config",
        "{drop-in} & {overwritten} & {cri section}",
    ),
    next=(
        "run `containerd config dump` on that node: see whether cri is in disabled_plugins and which runtimes are "
        "left, then read each file that `imports` names"
    ),
)


def seen(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    yield from of_hosts(cluster, hosts, partial(look, cluster))


def look(cluster: ClusterFacts, host: HostFacts) -> Iterator[Finding]:
    for handler, pods, config in configs(cluster, host):
        node = node_of(cluster, host.node)
        if overridden(config, node, handler):
            yield on_host(
                host,
                f"{config.files[-1]} replaces the CRI section that has the handler {handler}",
                (f"read in this order: {', '.join(config.files)}", f"node/{host.node}: {node.runtime}", *asking(pods)),
                f"put every runtime into one file: containerd before {MERGES[0]}.{MERGES[1]} keeps only the last CRI"
                " section; then restart it",
                pods=tuple(pod.key for pod in pods),
            )


RULE = with_seen(WORDS, seen)
