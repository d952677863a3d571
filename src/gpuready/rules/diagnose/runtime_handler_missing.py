"""no runtime for "nvidia" is configured: the RuntimeClass names a handler that the node's runtime does not have."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from gpuready.model.facts.cluster import ClusterFacts, Node
from gpuready.model.facts.host import HostFacts
from gpuready.model.fleet import each
from gpuready.model.rule import Finding
from gpuready.rules.diagnose._handlers import ABSENT, WHO, asking, configs, configured, mend, wanted, whole
from gpuready.rules.diagnose._hosts import Hosts, in_question, node_of, of_host, on_host, with_seen
from gpuready.rules.diagnose._hosts import whole as whole_cluster
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
    """What the running runtime says it has (node.status.runtimeHandlers) goes before what its files say."""

    def look_at(name: str) -> Iterator[Finding]:
        node = node_of(cluster, name)
        if node.handlers:
            yield from running(cluster, hosts, node)
        else:
            yield from of_host(hosts, partial(look, cluster), name)

    yield from each(in_question(cluster, hosts), look_at)
    whole_cluster(cluster)


def running(cluster: ClusterFacts, hosts: Hosts, node: Node) -> Iterator[Finding]:
    """Where its files have the handler it was not restarted, which is another rule's finding."""
    runtime = node.runtime.partition(":")[0]
    for handler, pods in wanted(cluster, node.name).items():
        config = configured(hosts, node)
        if handler in node.handlers or (config and handler in config.handlers):
            continue
        files = (f"{', '.join(config.files)}: handlers {', '.join(config.handlers) or 'none'}",) if config else ()
        yield Finding(
            at=f"node/{node.name}",
            says=f"{runtime} there has no handler {handler}, which pods ask for",
            evidence=(
                f"status.runtimeHandlers of node/{node.name}: {', '.join(node.handlers)}",
                *files,
                *asking(pods),
            ),
            next=mend(node, handler, config.path if config else f"the configuration of {runtime}"),
            nodes=(node.name,),
            pods=tuple(pod.key for pod in pods),
        )


def look(cluster: ClusterFacts, host: HostFacts) -> Iterator[Finding]:
    node = node_of(cluster, host.node)
    for handler, pods, config in configs(cluster, host):
        if handler in config.handlers or config.problem:
            continue
        whole(config, host)
        yield on_host(
            host,
            f"the configuration of {config.runtime} has no handler {handler}, which pods ask for",
            (f"{', '.join(config.files)}: handlers {', '.join(config.handlers) or 'none'}", *asking(pods)),
            mend(node, handler, config.path),
            pods=tuple(pod.key for pod in pods),
        )


RULE = with_seen(WORDS, seen)
