"""no runtime for "nvidia" is configured: the RuntimeClass names a handler that the node's runtime does not have."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.facts.host import HostFacts
from gpuready.model.rule import Finding
from gpuready.rules.diagnose._handlers import ABSENT, WHO, asking, configs, whole
from gpuready.rules.diagnose._hosts import Hosts, of_hosts, on_host, with_seen
from gpuready.rules.diagnose._said import said_rule

WORDS = said_rule(
    "runtime-handler-missing",
    "runtime config",
    "the container runtime has no handler of that name",
    signs=ABSENT,
    who=WHO,
    because=(
        "containerd-binary-not-on-host-path",
        "containerd-config-overwritten-by-config-mgmt",
        "containerd-config-path-wrong",
        "containerd-config-regenerated-on-start",
        "containerd-dropin-path-not-imported",
        "containerd-imported-file-overrides-cri",
        "containerd-socket-path-wrong",
        "runtime-config-broken",
        "runtime-not-restarted",
        "toolkit-dropin-version-mismatch",
        "toolkit-not-installed",
    ),
    next="write the nvidia runtime into the runtime's configuration on that node, then restart the runtime",
)


def seen(cluster: ClusterFacts, hosts: Hosts) -> Iterator[Finding]:
    yield from of_hosts(cluster, hosts, partial(look, cluster))


def look(cluster: ClusterFacts, host: HostFacts) -> Iterator[Finding]:
    for handler, pods, config in configs(cluster, host):
        if handler in config.handlers or config.problem:
            continue
        whole(config, host)
        yield on_host(
            host,
            f"the configuration of {config.runtime} has no handler {handler}, which pods ask for",
            (f"{', '.join(config.files)}: handlers {', '.join(config.handlers) or 'none'}", *asking(pods)),
            f"write the runtime {handler} into {config.path} (nvidia-ctk runtime configure --runtime="
            f"{'crio' if config.runtime == 'cri-o' else config.runtime}), then restart the runtime",
            pods=tuple(pod.key for pod in pods),
        )


RULE = with_seen(WORDS, seen)
