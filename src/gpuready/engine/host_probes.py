"""Look at machines for the doctor: a short-lived pod a node, side by side, and nothing of it left afterwards."""

from __future__ import annotations

from collections.abc import Callable, Collection

from gpuready.components.native_agent.component import namespace
from gpuready.components.native_agent.probes import host_pod
from gpuready.engine.evidence import concerns_gpus, gpu_nodes
from gpuready.engine.probing import run_probes
from gpuready.knowledge import distributions
from gpuready.knowledge.speakers import family
from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.names import NAMESPACE
from gpuready.model.plan import Ref
from gpuready.model.ports import Cluster
from gpuready.model.spec import Setup
from gpuready.model.unknown import Unknown, known, members
from gpuready.rules.diagnose._hosts import in_question

MOST_NODES = 50  # unless they are named
SECONDS = 150.0  # for all of them together with the pull of the image
RIGHTS_FOR = "gpuready rbac 'doctor --host-facts' prints the rights that this needs"


def nodes_to_probe(cluster: ClusterFacts, named: Collection[str]) -> tuple[str, ...]:
    """Those that are named; else those with GPUs or a part of the stack, the ones in question first.

    Raises UserError for a name that no node has, and where no node is known to have a GPU.
    """
    nodes = {node.name: node for node in known(cluster.nodes)}
    if strangers := sorted(set(named) - set(nodes)):
        raise UserError(f"there is no node {', '.join(strangers)}", "kubectl get nodes lists them")
    if named:
        return tuple(sorted(named))
    first = in_question(cluster, {})
    pods = () if isinstance(cluster.pods, Unknown) else members(cluster.pods)
    wanted = sorted({*first, *gpu_nodes(cluster, pods)}, key=lambda name: (name not in first, name))
    found = tuple(n for n in wanted if n in nodes and nodes[n].os == "linux" and nodes[n].ready is True)
    if not found:
        raise UserError("no node that is Ready is known to have a GPU", "name the one to look at: --node NAME")
    return found[:MOST_NODES]


def probe_hosts(
    cluster: Cluster, setup: Setup, seen: ClusterFacts, nodes: Collection[str], each: Callable[[], None]
) -> dict[str, str | UserError]:
    """What the pod on each node printed, or why it did not. `setup`: image and pull secret."""
    pods = () if isinstance(seen.pods, Unknown) else members(seen.pods)
    served = {pod.node for pod in pods if concerns_gpus(pod)}
    driven = {pod.node for pod in pods if family(pod.name) == "driver" and pod.phase == "Running"}
    made = _namespace(cluster)
    try:
        folders = _config_folders(seen)
        wanted = {n: host_pod(setup, n, n in served, n in driven, folders.get(n, "")) for n in nodes}
        return dict(run_probes(cluster, wanted, SECONDS, each))
    finally:
        if made:
            cluster.delete(_OURS, uid=made)
            cluster.wait_for(_OURS, lambda found: found is None, timeout=60)


def _config_folders(seen: ClusterFacts) -> dict[str, str]:
    """Node -> where its distribution keeps the configuration of its containerd, if that is one with its own."""
    found = ((node.name, distributions.of_node(node.kubelet, node.labels)) for node in members(seen.nodes))
    return {name: own.config.rpartition("/")[0] for name, own in found if own}


_OURS = Ref(api_version="v1", kind="Namespace", name=NAMESPACE)


def _namespace(cluster: Cluster) -> str:
    """UID of the namespace where it had to be made; empty where it was there."""
    if cluster.get(_OURS) is not None:
        return ""
    return str(cluster.create(namespace())["metadata"]["uid"])
