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
    """The agent of the DaemonSet that the node is to have runs there, no other, and the kubelet offers all its GPUs."""
    node, wanted = wait.args["node"], int(wait.args["gpus"])
    ref = Ref(api_version="v1", kind="Node", name=node)
    seen = {"allocatable": 0}

    def its_agents() -> tuple[list[Json], list[Json]]:
        pods = agent_pods(cluster, node)
        stay = [p for p in pods if _is_of(p, wait.args["daemonset"])]
        return stay, [p for p in pods if p not in stay]

    def each() -> None:
        hold()
        _raise_trouble(its_agents()[0], node)

    def offered(live: Json | None) -> bool:
        if live is None:
            raise UserError(f"node/{node} has left the cluster", "take it out of the spec")
        seen["allocatable"] = whole(live.get("status", {}).get("allocatable", {}).get(RESOURCE))
        return seen["allocatable"] >= wanted and bool(its_agents()[0])

    while True:
        try:
            cluster.wait_for(ref, offered, timeout=wait.seconds, each=each)
        except TimeoutError:
            whose = "" if its_agents()[0] else f", not by an agent of ds/{wait.args['daemonset']}"
            raise TimeoutError(f"node/{node} offers {seen['allocatable']} of {wanted} GPUs{whose}") from None
        stay, leave = its_agents()
        # what the node offers may still be what the agent before it offered
        waited = [_wait_for_pod(cluster, p, node, _gone, "end", wait.seconds, hold) for p in leave]
        waited += [_wait_for_pod(cluster, p, node, _ready, "become ready", wait.seconds, each) for p in stay]
        if not any(waited):
            return f"{wanted} allocatable"


def _is_of(pod: Json, daemonset: str) -> bool:
    meta = pod["metadata"]
    return "deletionTimestamp" not in meta and any(
        o.get("name") == daemonset for o in meta.get("ownerReferences") or ()
    )


def _wait_for_pod(
    cluster: Cluster,
    pod: Json,
    node: str,
    settled: Callable[[Json | None], bool],
    what: str,
    seconds: float,
    each: Callable[[], None],
) -> bool:
    """Whether it had to be waited for: the state that was listed was not yet the wanted one."""
    if settled(pod):
        return False
    name = pod["metadata"]["name"]
    ref = Ref(api_version="v1", kind="Pod", name=name, namespace=NAMESPACE)
    try:
        cluster.wait_for(ref, settled, timeout=seconds, each=each)
    except TimeoutError:
        raise TimeoutError(f"pod/{name} on node/{node} did not {what}") from None
    return True


def agent_gone(cluster: Cluster, wait: Wait, hold: Callable[[], None]) -> str:
    """No agent pod is left on the node."""
    node = wait.args["node"]
    for pod in agent_pods(cluster, node):
        _wait_for_pod(cluster, pod, node, _gone, "end", wait.seconds, hold)
    return ""


def gpus_withdrawn(cluster: Cluster, wait: Wait, hold: Callable[[], None]) -> str:
    """The node offers none any more: its kubelet has heard the agent's last list. A note where it has not: no error,
    as a kubelet that missed it forgets a silent plugin after five minutes."""
    left = {"capacity": 0}

    def none(live: Json | None) -> bool:
        left["capacity"] = whole((live or {}).get("status", {}).get("capacity", {}).get(RESOURCE))
        return not left["capacity"]

    node = wait.args["node"]
    try:
        cluster.wait_for(Ref(api_version="v1", kind="Node", name=node), none, timeout=wait.seconds, each=hold)
    except TimeoutError:
        return (
            f"node/{node} still says {RESOURCE}: {left['capacity']}, until its kubelet forgets the plugin (5 minutes)"
        )
    return ""


def whole(quantity: Any) -> int:
    """An extended resource's quantity; 0 when absent or not a whole number."""
    try:
        return int(str(quantity))
    except ValueError:
        return 0


def _gone(pod: Json | None) -> bool:
    return pod is None


def _ready(pod: Json | None) -> bool:
    """Ready, or gone: then another one is to be waited for."""
    if pod is None:
        return True
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
    "gpus-withdrawn": gpus_withdrawn,
}
