"""What a step waits for: named predicates over watched objects. Each gives a note, or raises with the reason seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gpuready.engine.operator_waits import crd_established, operator_gone, operator_ready
from gpuready.engine.probing import ONE_LOOK, STUCK, FailedOn
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


def agents_gone(cluster: Cluster, wait: Wait, hold: Callable[[], None]) -> str:
    """No agent pod is left on any of these nodes. Raises FailedOn with those where one is."""
    nodes, left, late = set(wait.args["nodes"].split(",")), float(wait.seconds), {}
    labels = f"app.kubernetes.io/name={AGENT}"
    for pod in list(cluster.list_objects("v1", "Pod", namespace=NAMESPACE, labels=labels)):
        node = pod.get("spec", {}).get("nodeName", "")
        if node not in nodes:
            continue
        try:
            _wait_for_pod(cluster, pod, node, _gone, "end", left, hold)
        except TimeoutError as error:
            late[node] = UserError(f"{error} within {wait.seconds} s", _past(node))
            left = ONE_LOOK
    if late:
        raise FailedOn(late)
    return ""


def _past(node: str) -> str:
    return f"gpuready apply --resume waits again; with --leave {node} it goes on without that node, if it is lost"


def gpus_withdrawn(cluster: Cluster, wait: Wait, hold: Callable[[], None]) -> str:
    """These nodes offer none any more: their kubelets have heard the agent's last list. A note where one has not: no
    error, as a kubelet that missed it forgets a silent plugin after five minutes."""
    late, left = {}, float(wait.seconds)
    for node in wait.args["nodes"].split(","):
        seen = {"capacity": 0}

        def none(live: Json | None, seen: dict[str, int] = seen) -> bool:
            seen["capacity"] = whole((live or {}).get("status", {}).get("capacity", {}).get(RESOURCE))
            return not seen["capacity"]

        try:
            cluster.wait_for(Ref(api_version="v1", kind="Node", name=node), none, timeout=left, each=hold)
        except TimeoutError:
            late[node], left = seen["capacity"], ONE_LOOK
    say = (f"node/{node} still says {RESOURCE}: {capacity}" for node, capacity in late.items())
    return f"{', '.join(say)}, until its kubelet forgets the plugin (5 minutes)" if late else ""


def one_started(cluster: Cluster, wait: Wait, hold: Callable[[], None]) -> str:
    """One of these pods ("ns/name,ns/name") has found a node and started. A note where none has: there may be another
    reason why it waits, which the doctor names."""
    refs = [Ref(api_version="v1", kind="Pod", namespace=ns, name=name) for ns, name in _keys(wait.args["pods"])]
    first, *others = refs
    seen: list[str] = []

    def started(pod: Json | None) -> bool:
        if pod and pod.get("status", {}).get("phase") in ("Running", "Succeeded"):
            seen.append(f"{first.namespace}/{first.name}")
        return bool(seen)

    def each() -> None:
        hold()
        for ref in others:
            if (cluster.get(ref) or {}).get("status", {}).get("phase") in ("Running", "Succeeded"):
                seen.append(f"{ref.namespace}/{ref.name}")

    try:
        cluster.wait_for(first, started, timeout=wait.seconds, each=each)
    except TimeoutError:
        return f"none of the pods that waited has started within {wait.seconds} s"
    return f"pod/{seen[0]} has started"


def _keys(pods: str) -> list[list[str]]:
    return [key.split("/", 1) for key in pods.split(",")]


def daemonset_ready(cluster: Cluster, wait: Wait, hold: Callable[[], None]) -> str:
    """Its controller has seen the change, and every pod that it is to have is ready, of the newest template."""
    namespace, name = wait.args["daemonset"].split("/", 1)
    ref = Ref(api_version="apps/v1", kind="DaemonSet", namespace=namespace, name=name)
    seen = {"ready": 0, "desired": 0}

    def rolled_out(live: Json | None) -> bool:
        if live is None:
            raise UserError(f"ds/{wait.args['daemonset']} is gone", "gpuready doctor looks again")
        status = live.get("status") or {}
        seen.update(ready=status.get("numberReady", 0), desired=status.get("desiredNumberScheduled", 0))
        current = status.get("observedGeneration", 0) >= live["metadata"].get("generation", 0)
        by_hand = live["spec"].get("updateStrategy", {}).get("type") == "OnDelete"
        updated = by_hand or status.get("updatedNumberScheduled", 0) >= seen["desired"]
        return current and updated and seen["ready"] >= seen["desired"]

    try:
        cluster.wait_for(ref, rolled_out, timeout=wait.seconds, each=hold)
    except TimeoutError:
        return f"{seen['ready']} of {seen['desired']} pods are ready after {wait.seconds} s"
    return f"{seen['ready']} of {seen['desired']} pods ready"


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
    "crd-established": crd_established,
    "operator-ready": operator_ready,
    "operator-gone": operator_gone,
    "gpus-allocatable": gpus_allocatable,
    "agents-gone": agents_gone,
    "gpus-withdrawn": gpus_withdrawn,
    "one-started": one_started,
    "daemonset-ready": daemonset_ready,
}
