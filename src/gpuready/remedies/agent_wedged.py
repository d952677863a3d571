"""The agent's pod is deleted: its DaemonSet makes it anew, and pods that hold a GPU keep it meanwhile."""

from __future__ import annotations

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.names import NAMESPACE, RESOURCE
from gpuready.model.plan import Compensating, Delete, Ref, Step, Wait
from gpuready.model.remedy import Mend, Remedy
from gpuready.model.rule import Finding
from gpuready.model.unknown import members


def mend(finding: Finding, cluster: ClusterFacts) -> Mend:
    pod = next(p for p in members(cluster.pods) if p.key == finding.pods[0])
    gpus = next((n.capacity.get(RESOURCE, 0) for n in members(cluster.nodes) if n.name == pod.node), 0)
    wanted = {"node": pod.node, "gpus": str(gpus), "daemonset": pod.owner.removeprefix("ds/")}
    step = Step(
        id=f"restart Pod/{pod.name} {pod.uid}",
        verb="restart",
        target=f"pod/{pod.name}",
        action=Delete(Ref(api_version="v1", kind="Pod", name=pod.name, namespace=NAMESPACE), pod.uid),
        why=f"it does not answer; {pod.owner} makes it anew",
        interrupts="new GPU pods there for up to a minute",
        undo=Compensating("restarted again"),
        wait=Wait(until="gpus-allocatable", args=wanted, seconds=180),
    )
    return Mend(steps=(step,))


REMEDY = Remedy(
    "agent-wedged", mend, does="deletes the agent's pod, which its DaemonSet makes anew; pods that hold a GPU keep it"
)
