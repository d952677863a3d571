"""The configuration of the node's container runtime is one with which it would not start."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding, Rule
from gpuready.rules.diagnose._handlers import whole
from gpuready.rules.diagnose._hosts import Hosts, config_of, node_of, of_hosts, on_host

CHECK = {"containerd": "containerd config dump", "cri-o": "crio status config", "docker": "dockerd --validate"}


def find(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    def look(host: HostFacts) -> Iterator[Finding]:
        config = config_of(host, node_of(cluster, host.node))
        if config is None:
            return
        if config.problem:
            yield on_host(
                host,
                f"{config.runtime} cannot use its configuration: {config.problem}"[:130],
                (f"{config.path}: {config.problem}",),
                f"mend that file, check it with `{CHECK.get(config.runtime, config.runtime)}` and restart the runtime",
            )
        else:
            whole(config, host)

    yield from of_hosts(cluster, hosts, look)


RULE = Rule(
    "runtime-config-broken",
    "diagnose",
    "fail",
    "The container runtime cannot use its configuration",
    find,
    link="runtime config",
)
