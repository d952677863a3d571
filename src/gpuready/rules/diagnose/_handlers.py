"""What rules about runtime handlers share: which handler pods ask for, and the words for one that is not there."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Node, Pod
from gpuready.model.facts.host import HostFacts, RuntimeConfig
from gpuready.model.unknown import TouchedUnknown, Unknown, known, members
from gpuready.rules.diagnose._hosts import ASK, Hosts, config_of, distribution_of, node_of, runtime_version

ABSENT = (
    "no runtime for * is configured",
    "failed to find runtime handler",
    "failed to get sandbox runtime & {absent}",
    "runtimehandler * not supported",
    "unknown runtime type",
    "unknown runtime specified",
    "unknown or invalid runtime name",
    "invalid runtime name",
    "oci runtime nvidia* not found",
    "unable to get oci runtime for sandbox",
    "{runtime handler} & {absent} & !{cdi} & !runtimeclass * not found & !runtimeclass.node.k8s.io",
)
WHO = ("kubelet", "runtime")


def wanted(cluster: ClusterFacts, node: str) -> dict[str, tuple[Pod, ...]]:
    """nvidia's handlers that pods of the node ask for by their RuntimeClass, with these pods."""
    asking = [
        pod for pod in members(cluster.pods) if pod.node == node and pod.runtime_class and pod.phase != "Succeeded"
    ]
    handlers = {one.name: one.handler for one in known(cluster.runtime_classes)} if asking else {}
    found: dict[str, list[Pod]] = {}
    for pod in asking:
        if "nvidia" in (handler := handlers.get(pod.runtime_class, "")):
            found.setdefault(handler, []).append(pod)
    return {handler: tuple(pods) for handler, pods in found.items()}


def configs(cluster: ClusterFacts, host: HostFacts) -> Iterator[tuple[str, tuple[Pod, ...], RuntimeConfig]]:
    """(handler, pods that ask for it, configuration of the node's runtime) for each that pods ask for."""
    asked = wanted(cluster, host.node)
    config = config_of(host, node_of(cluster, host.node)) if asked else None
    if asked and config is None:
        raise TouchedUnknown(Unknown(f"the runtime's configuration on node/{host.node} was not found", ASK))
    for handler, pods in asked.items():
        assert config is not None
        yield handler, pods, config


def configured(hosts: Hosts, node: Node) -> RuntimeConfig | None:
    """What its files say, where they could be read; None: not known."""
    host = hosts.get(node.name)
    if not isinstance(host, HostFacts) or isinstance(host.runtimes, Unknown):
        return None
    config = config_of(host, node)
    return None if config is None or config.unread or config.problem else config


def mend(node: Node, handler: str, path: str) -> str:
    """Where the entry goes so that it stays. `path`: the file that its runtime begins with."""
    if (own := distribution_of(node)) is not None:
        return own.mend(handler, runtime_version(node))
    runtime = node.runtime.partition(":")[0]
    return (
        f"write the runtime {handler} into {path} (nvidia-ctk runtime configure --runtime="
        f"{'crio' if runtime == 'cri-o' else runtime}), then restart the runtime"
    )


def whole(config: RuntimeConfig, host: HostFacts) -> None:
    """Raises TouchedUnknown unless all of its files were read: from here on, what is not there counts."""
    if config.unread:
        why = f"{config.unread[0]} of node/{host.node}, which belongs to {config.path}, could not be read"
        raise TouchedUnknown(Unknown(why, f"{config.runtime} config dump, on the node"))


MERGES = (2, 0)  # from this containerd on sections are merged (containerd/containerd issue 5837, pull 9982)


def overridden(config: RuntimeConfig, node: Node, handler: str) -> bool:
    """Whether this containerd loses the handler because a later file replaces the section that has it."""
    return handler in config.replaced and (0, 0) < runtime_version(node) < MERGES


def asking(pods: tuple[Pod, ...]) -> tuple[str, ...]:
    return tuple(f"pod/{pod.key} has runtimeClassName {pod.runtime_class}" for pod in pods[:3])


OPERATOR_PLACE = "/usr/local/nvidia/toolkit"  # where NVIDIA's toolkit container puts its programs


def absent_programs(cluster: ClusterFacts, host: HostFacts) -> Iterator[tuple[str, str, tuple[Pod, ...]]]:
    """(handler, its program that is not there, pods that ask for it), also where the handler is the default one."""
    node = node_of(cluster, host.node)
    config = config_of(host, node)
    asked = wanted(cluster, host.node)
    for handler in config.binaries if config else ():
        concerns = handler in asked or (config is not None and handler == config.default_handler)
        if config is None or not concerns or "nvidia" not in handler:
            continue
        if handler in config.missing_binaries:
            yield handler, config.binaries[handler], asked.get(handler, ())
        elif handler in config.hidden_binaries:
            program = config.binaries[handler]
            raise TouchedUnknown(Unknown(f"{program} of node/{host.node} was not visible", f"ls -l {program}, there"))
