"""The agent's pods, and when one has to start again: their DaemonSet replaces none by itself, so that we say when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.names import AGENT, NAMESPACE, TEMPLATE_LABEL
from gpuready.model.plan import Compensating, Delete, Ref, Step, Wait
from gpuready.model.unknown import known


def agent_pods(cluster: ClusterFacts) -> tuple[Pod, ...]:
    """In the order of their nodes."""
    pods = [p for p in known(cluster.pods) if p.namespace == NAMESPACE]
    return tuple(sorted((p for p in pods if p.labels.get("app.kubernetes.io/name") == AGENT), key=lambda p: p.node))


def templates(objects: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Digest of the pod template of each DaemonSet among them, by its name."""
    sets = [o for o in objects if o.get("kind") == "DaemonSet"]
    return {o["metadata"]["name"]: o["spec"]["template"]["metadata"]["labels"][TEMPLATE_LABEL] for o in sets}


def restarts(pods: Iterable[Pod], templates: Mapping[str, str], gpus: Mapping[str, int]) -> Iterator[Step]:
    """One step for every pod that was made from another template than its DaemonSet is to have.

    `templates`: digest of the wanted template by DaemonSet; the pods of others are left alone. `gpus`: how many are
    awaited by node.
    """
    for pod in pods:
        daemonset = pod.owner.removeprefix("ds/")
        template = templates.get(daemonset)
        if template is None or pod.labels.get(TEMPLATE_LABEL) == template or pod.terminating:
            continue
        yield Step(
            id=f"restart agent on {pod.node} {pod.uid}",
            verb="restart",
            target=f"pod/{pod.name}",
            action=Delete(Ref(api_version="v1", kind="Pod", name=pod.name, namespace=NAMESPACE), pod.uid),
            why=f"its template changed (node/{pod.node})",
            interrupts="new GPU pods there for seconds",
            undo=Compensating("restarted again"),
            wait=offering(pod.node, gpus.get(pod.node, 0), daemonset),
        )


def offering(node: str, gpus: int, daemonset: str) -> Wait:
    """Until the agent of this DaemonSet serves that many GPUs on the node, and no agent of another is left there."""
    args = {"node": node, "gpus": str(gpus), "daemonset": daemonset}
    return Wait(until="gpus-allocatable", args=args, seconds=180)
