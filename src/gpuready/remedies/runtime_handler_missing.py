"""The handler that pods ask for is written into their node's container runtime, in a file of its own, and read.

Where the GPU Operator's toolkit runs on the node it owns that entry: it writes it, and restarts the runtime, whenever
its pod starts, and never looks again while it runs (NVIDIA/gpu-operator#1651, #598). A second entry beside it would
keep the name alive after the toolkit has taken its binary away, so the owner is made to write again instead.

Distributions that bring their own containerd write its configuration anew at every start (knowledge/distributions).
"""

from __future__ import annotations

from collections.abc import Iterable

from gpuready.knowledge.distributions import of_node
from gpuready.model.facts.cluster import ClusterFacts, Node, Pod
from gpuready.model.names import RESTART_RUNTIME
from gpuready.model.plan import Delete, Irreversible, Ref, RuntimeEntry, Step, Wait
from gpuready.model.remedy import ByHand, Mend, Remedy
from gpuready.model.rule import Finding
from gpuready.model.unknown import complete, known, members

# Where NVIDIA's packages and its toolkit container put the program of each handler that they name.
PROGRAMS = {
    "nvidia": "nvidia-container-runtime",
    "nvidia-cdi": "nvidia-container-runtime.cdi",
    "nvidia-legacy": "nvidia-container-runtime.legacy",
}
FOLDERS = ("/usr/bin", "/usr/local/nvidia/toolkit", "/usr/local/bin")
RUNTIMES = ("containerd", "cri-o", "docker")
STARTS = 90  # seconds: a pod's sandbox is tried again after up to a minute


def mend(finding: Finding, cluster: ClusterFacts) -> Mend | ByHand:
    pods = members(known(cluster.pods))
    asking = [p for p in pods if p.key in finding.pods and p.node and p.runtime_class]
    if not asking:
        asking = [p for p in pods if p.node in finding.nodes and "nvidia" in p.runtime_class]
    handlers = {c.name: c.handler for c in members(known(cluster.runtime_classes))}
    wanted = sorted({(p.node, handlers[p.runtime_class]) for p in asking if p.runtime_class in handlers})
    if not wanted:
        return _by_hand("it is not told which pod asks which node for which handler", finding.next)
    steps = []
    for name, handler in wanted:
        node = next((n for n in members(known(cluster.nodes)) if n.name == name), None)
        if node is None:
            return _by_hand(f"node/{name} was not read", finding.next)
        if refused := _refused(node, handler):
            return refused
        waits = [p.key for p in asking if p.node == name and p.phase == "Pending"]
        toolkit = next((p for p in pods if p.node == name and _is_toolkit(p)), None)
        complete(known(cluster.pods))
        steps.append(_renewed(toolkit, waits) if toolkit else _written(node, handler, waits))
    return Mend(steps=tuple(steps))


def _is_toolkit(pod: Pod) -> bool:
    return pod.labels.get("app") == "nvidia-container-toolkit-daemonset" or "nvidia-container-toolkit" in pod.owner


def _refused(node: Node, handler: str) -> ByHand | None:
    runtime, _, version = node.runtime.partition("://")
    if handler not in PROGRAMS:
        return _by_hand(
            f"no program of NVIDIA's is known for the handler {handler}",
            f"write {handler} into the configuration of {runtime} on node/{node.name} as its maker says",
        )
    if runtime == "containerd" and (own := of_node(node.kubelet, node.labels)) is not None:
        return _by_hand(
            f"{own.name} writes the configuration of containerd anew at every start",
            f"on node/{node.name}: {own.mend(handler, _numbers(version))}",
        )
    if runtime not in RUNTIMES:
        return _by_hand(f"the runtime {runtime or '?'} is not known", f"write {handler} into its configuration")
    return None


def _numbers(version: str) -> tuple[int, int]:
    """Of 2.1.5-k3s1; (2, 0) where it is not told."""
    parts = version.split(".")[:2]
    return (int(parts[0]), int(parts[1])) if len(parts) == 2 and all(p.isdigit() for p in parts) else (2, 0)


def _by_hand(because: str, do: str) -> ByHand:
    return ByHand(because=because, do=do, proved_by="the pods that asked for it start")


def _written(node: Node, handler: str, waits: Iterable[str]) -> Step:
    action = RuntimeEntry(
        node=node.name,
        runtime=node.runtime,
        handler=handler,
        binaries=tuple(f"{folder}/{PROGRAMS[handler]}" for folder in FOLDERS),
    )
    runtime = node.runtime.partition(":")[0]
    return Step(
        id=f"configure node/{node.name} {handler}",
        verb="configure",
        target=f"node/{node.name}",
        action=action,
        why=f"{runtime} there does not know the handler {handler}",
        interrupts=action.interrupts,
        consent=RESTART_RUNTIME,
        wait=_start_of(waits),
    )


def _renewed(toolkit: Pod, waits: Iterable[str]) -> Step:
    return Step(
        id=f"renew Pod/{toolkit.key} {toolkit.uid}",
        verb="restart",
        target=f"pod/{toolkit.key}",
        action=Delete(
            Ref(api_version="v1", kind="Pod", name=toolkit.name, namespace=toolkit.namespace),
            toolkit.uid,
        ),
        why=f"the toolkit owns the entry on node/{toolkit.node}, and writes it when it starts",
        interrupts="the container runtime for seconds, no container",
        undo=Irreversible("it is another pod then, and it has written what it writes"),
        consent=RESTART_RUNTIME,
        wait=_start_of(waits),
    )


def _start_of(pods: Iterable[str]) -> Wait | None:
    """The kubelet tries them again by itself."""
    named = ",".join(pods)
    return Wait(until="one-started", args={"pods": named}, seconds=STARTS) if named else None


REMEDY = Remedy(
    "runtime-handler-missing",
    mend,
    does="writes the handler into the runtime's configuration, in a file of its own, with"
    " --allow=restart-runtime; where the GPU Operator's toolkit owns the entry, its pod is started again",
    by_hand="where the runtime's configuration is written by K3s, RKE2, MicroK8s or k0s, or the handler is not"
    " NVIDIA's; it worked when the pods that asked for it start",
)
