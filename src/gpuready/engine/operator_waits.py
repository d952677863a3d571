"""What the steps of stack `gpu-operator` wait for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gpuready.engine.probing import STUCK
from gpuready.model.errors import UserError
from gpuready.model.plan import Ref, Wait
from gpuready.model.ports import Cluster

Json = dict[str, Any]
Hold = Callable[[], None]
# templates/clusterpolicy.yaml of the chart, every release
POLICY = Ref(api_version="nvidia.com/v1", kind="ClusterPolicy", name="cluster-policy")
SEE = "gpuready doctor says why; gpuready apply --resume waits again"
PULLS = tuple(reason for reason in STUCK if "mage" in reason)


def crd_established(cluster: Cluster, wait: Wait, hold: Hold) -> str:
    """The API server serves the kind."""
    ref = Ref(api_version="apiextensions.k8s.io/v1", kind="CustomResourceDefinition", name=wait.args["crd"])

    def served(live: Json | None) -> bool:
        conditions = (live or {}).get("status", {}).get("conditions") or ()
        return any(c.get("type") == "Established" and c.get("status") == "True" for c in conditions)

    cluster.wait_for(ref, served, timeout=wait.seconds, each=hold)
    return ""


def operator_ready(cluster: Cluster, wait: Wait, hold: Hold) -> str:
    """The ClusterPolicy is ready, and then every GPU node offers its GPUs. Fails with the operand in the way."""
    namespaces = wait.args["namespaces"].split(",")
    seen = {"state": "not there yet"}

    def each() -> None:
        hold()
        _raise_trouble(cluster, namespaces)

    def ready(live: Json | None) -> bool:
        seen["state"] = (live or {}).get("status", {}).get("state") or "not reconciled yet"
        return seen["state"] == "ready"

    try:
        cluster.wait_for(POLICY, ready, timeout=wait.seconds, each=each)
    except TimeoutError:
        told = "; ".join(_not_ready(cluster, namespaces)) or "no operand tells why"
        raise UserError(f"ClusterPolicy is {seen['state']} after {wait.seconds} s: {told}", SEE) from None
    offers = [_offered(cluster, node, gpus, wait, each, namespaces) for node, gpus in _wanted(wait)]
    return f"ready; {', '.join(offers)}"


def _wanted(wait: Wait) -> Iterator[tuple[str, int]]:
    for pair in filter(None, wait.args["gpus"].split(",")):
        node, _, gpus = pair.rpartition("=")
        yield node, int(gpus)


def _offered(cluster: Cluster, node: str, gpus: int, wait: Wait, each: Hold, namespaces: list[str]) -> str:
    """MIG instances and shares count like GPUs: a GPU that is divided is offered at least once."""
    seen = {"allocatable": 0}

    def enough(live: Json | None) -> bool:
        if live is None:
            raise UserError(f"node/{node} has left the cluster", "take it out of the spec")
        seen["allocatable"] = gpus_of(live)
        return seen["allocatable"] >= gpus

    try:
        cluster.wait_for(Ref(api_version="v1", kind="Node", name=node), enough, timeout=wait.seconds, each=each)
    except TimeoutError:
        told = "; ".join(_not_ready(cluster, namespaces, node)) or "every operand is ready"
        says = f"ClusterPolicy is ready and node/{node} offers {seen['allocatable']} of {gpus} GPUs"
        raise UserError(f"{says} after {wait.seconds} s: {told}", SEE) from None
    return f"{seen['allocatable']} allocatable on {node}"


def gpus_of(node: Json) -> int:
    """What a pod can ask for: nvidia.com/gpu, nvidia.com/gpu.shared, nvidia.com/mig-1g.5gb."""
    offered = node.get("status", {}).get("allocatable") or {}
    counts = (str(v) for k, v in offered.items() if k.startswith(("nvidia.com/gpu", "nvidia.com/mig-")))
    return sum(int(c) for c in counts if c.isdecimal())


def _not_ready(cluster: Cluster, namespaces: list[str], node: str = "") -> Iterator[str]:
    """ds/nvidia-driver-daemonset 0 of 1 ready (pod/nvidia-driver-daemonset-x on node/gpu-1: CrashLoopBackOff)"""
    for namespace in namespaces:
        pods = list(cluster.list_objects("v1", "Pod", namespace=namespace))
        for ds in cluster.list_objects("apps/v1", "DaemonSet", namespace=namespace):
            status, name = ds.get("status") or {}, ds["metadata"]["name"]
            wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
            if ready < wanted:
                told = [t for p in pods if _is_of(p, name) and _on(p, node) and (t := _trouble(p))]
                yield f"ds/{name} {ready} of {wanted} ready" + (f" ({told[0]})" if told else "")


def _is_of(pod: Json, owner: str) -> bool:
    return any(o.get("name") == owner for o in pod["metadata"].get("ownerReferences") or ())


def _on(pod: Json, node: str) -> bool:
    return not node or pod["spec"].get("nodeName") == node


def _trouble(pod: Json) -> str:
    where = f"pod/{pod['metadata']['name']} on node/{pod['spec'].get('nodeName', '?')}"
    for container, waiting in _waiting(pod):
        return f"{where}: {container} {waiting.get('reason', 'waits')}"
    return "" if pod.get("status", {}).get("phase") == "Running" else f"{where}: {pod['status'].get('phase', '?')}"


def _waiting(pod: Json) -> Iterator[tuple[str, Json]]:
    status = pod.get("status", {})
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        if waiting := container.get("state", {}).get("waiting"):
            yield container["name"], waiting


def _raise_trouble(cluster: Cluster, namespaces: list[str]) -> None:
    """An image that cannot be pulled: waiting longer does not help."""
    for namespace in namespaces:
        for pod in cluster.list_objects("v1", "Pod", namespace=namespace):
            for container, waiting in _waiting(pod):
                if waiting.get("reason") in PULLS:
                    text = " ".join(str(waiting.get("message", "")).split())[:300]
                    name = pod["metadata"]["name"]
                    raise UserError(
                        f"pod/{name} in namespace {namespace}, container {container}: {waiting['reason']}: {text}",
                        "gpuOperator.registry and gpuOperator.pullSecret say where images come from; gpuready doctor",
                    )


def operator_gone(cluster: Cluster, wait: Wait, hold: Hold) -> str:
    """The operator's and its operands' pods have ended. A note where some have not: others may live there too."""
    for namespace in wait.args["namespaces"].split(","):
        while pods := [p for p in cluster.list_objects("v1", "Pod", namespace=namespace) if _of_a_set(p)]:
            name = pods[0]["metadata"]["name"]
            ref = Ref(api_version="v1", kind="Pod", name=name, namespace=namespace)
            try:
                cluster.wait_for(ref, partial(_left, pods[0]["metadata"]["uid"]), timeout=wait.seconds, each=hold)
            except TimeoutError:
                return f"pod/{name} in namespace {namespace} is still there after {wait.seconds} s"
    return ""


def _of_a_set(pod: Json) -> bool:
    return any(o.get("kind") in ("DaemonSet", "ReplicaSet") for o in pod["metadata"].get("ownerReferences") or ())


def _left(uid: str, pod: Json | None) -> bool:
    return pod is None or pod["metadata"]["uid"] != uid
