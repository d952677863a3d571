"""What a step waits for: named predicates over watched objects. Each gives a note, or raises with the reason seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpuready.engine.probing import STUCK
from gpuready.model.errors import UserError
from gpuready.model.names import AGENT, NAMESPACE, RESOURCE
from gpuready.model.plan import Ref, Wait
from gpuready.model.ports import Cluster

Json = dict[str, Any]


def agent_pods(cluster: Cluster, node: str) -> list[Json]:
    labels, fields = f"app.kubernetes.io/name={AGENT}", f"spec.nodeName={node}"
    return list(cluster.list_objects("v1", "Pod", namespace=NAMESPACE, labels=labels, fields=fields))


def gpus_allocatable(cluster: Cluster, wait: Wait, hold: Callable[[], None]) -> str:
    """The agent on the node runs and the kubelet offers all its GPUs."""
    node, wanted = wait.args["node"], int(wait.args["gpus"])
    ref = Ref(api_version="v1", kind="Node", name=node)
    seen = {"allocatable": 0}

    def offered(live: Json | None) -> bool:
        if live is None:
            raise UserError(f"node/{node} has left the cluster", "take it out of the spec")
        seen["allocatable"] = whole(live.get("status", {}).get("allocatable", {}).get(RESOURCE))
        return seen["allocatable"] >= wanted

    def each() -> None:
        hold()
        _raise_trouble(agent_pods(cluster, node), node)

    try:
        cluster.wait_for(ref, offered, timeout=wait.seconds, each=each)
    except TimeoutError:
        raise TimeoutError(f"node/{node} offers {seen['allocatable']} of {wanted} GPUs") from None
    _agent_ready(cluster, node, wait.seconds, each)
    return f"{wanted} allocatable"


def _agent_ready(cluster: Cluster, node: str, seconds: float, each: Callable[[], None]) -> None:
    for pod in agent_pods(cluster, node):
        name = pod["metadata"]["name"]
        ref = Ref(api_version="v1", kind="Pod", name=name, namespace=NAMESPACE)
        try:
            cluster.wait_for(ref, lambda p: p is None or _ready(p), timeout=seconds, each=each)
        except TimeoutError:
            raise TimeoutError(f"pod/{name} on node/{node} did not become ready") from None


def agent_gone(cluster: Cluster, wait: Wait, hold: Callable[[], None]) -> str:
    """No agent pod is left on the node."""
    for pod in agent_pods(cluster, wait.args["node"]):
        name = pod["metadata"]["name"]
        ref = Ref(api_version="v1", kind="Pod", name=name, namespace=NAMESPACE)
        try:
            cluster.wait_for(ref, lambda p: p is None, timeout=wait.seconds, each=hold)
        except TimeoutError:
            raise TimeoutError(f"pod/{name} did not end") from None
    return ""


def whole(quantity: Any) -> int:
    """An extended resource's quantity; 0 when absent or not a whole number."""
    try:
        return int(str(quantity))
    except ValueError:
        return 0


def _ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def _raise_trouble(pods: list[Json], node: str) -> None:
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses") or ():
            waiting = container.get("state", {}).get("waiting") or {}
            crashed = waiting.get("reason") == "CrashLoopBackOff" and container.get("restartCount", 0) >= 2
            if waiting.get("reason") in STUCK or crashed:
                text = " ".join(str(waiting.get("message", "")).split())[:300]
                name = pod["metadata"]["name"]
                raise UserError(
                    f"pod/{name} on node/{node}: {waiting['reason']}: {text}",
                    f"kubectl logs -n {NAMESPACE} {name} --previous",
                )


WAITS: Mapping[str, Callable[[Cluster, Wait, Callable[[], None]], str]] = {
    "gpus-allocatable": gpus_allocatable,
    "agent-gone": agent_gone,
}
