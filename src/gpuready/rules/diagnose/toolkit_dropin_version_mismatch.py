"""containerd refuses a drop-in of a higher version than its root file, and reads plugin names by the version."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.rules.diagnose._handlers import asking, configs
from gpuready.rules.diagnose._hosts import Hosts, of_hosts, on_host, with_seen
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "toolkit-dropin-version-mismatch",
    "runtime config",
    "the nvidia part of containerd's configuration is in another format version than the rest",
    signs=(
        "higher than root config version",
        "drop-in config version",
        "expected containerd config version",
        "unsupported config version",
        "{containerd config} & version & {mismatch}",
        "{drop-in} & version & {mismatch}",
        "container.runtime.name must be set",
        "invalid plugin config & {containerd config}",
        "containerd & config version & {denied}",
    ),
    next=(
        "compare `version` of /etc/containerd/config.toml with that of the nvidia drop-in; set "
        "RUNTIME_CONFIG_SOURCE=file on the toolkit, remove the drop-in and restart containerd"
    ),
)


def seen(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    yield from of_hosts(cluster, hosts, partial(look, cluster))


def look(cluster: ClusterFacts, host: HostFacts) -> Iterator[Finding]:
    """The plugin's section has another name in each version of the format."""
    for handler, pods, config in configs(cluster, host):
        if handler in config.misplaced:
            yield on_host(
                host,
                f"the handler {handler} stands in a section of another format version, which containerd does not read",
                (f"{', '.join(config.files)}: handlers {', '.join(config.handlers)}", *asking(pods)),
                "make `version` and the names of plugins fit each other in these files (version 2:"
                " io.containerd.grpc.v1.cri, version 3: io.containerd.cri.v1.runtime), then restart containerd",
                pods=tuple(pod.key for pod in pods),
            )


RULE = with_seen(WORDS, seen)
