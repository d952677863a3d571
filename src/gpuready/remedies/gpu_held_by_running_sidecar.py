"""The pod whose work is done is ended: the kubelet gives its GPUs to the next one."""

from __future__ import annotations

from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.plan import Delete, Irreversible, Ref, Step, Wait
from gpuready.model.remedy import Mend, Remedy
from gpuready.model.rule import Finding
from gpuready.model.unknown import members


def mend(finding: Finding, cluster: ClusterFacts) -> Mend:
    pods = {pod.key: pod for pod in members(cluster.pods)}
    holder = pods[finding.pods[0]]
    waiting = [pods[key] for key in finding.pods[1:] if pods[key].phase == "Pending"]
    again = f"; {holder.owner} may start it again" if holder.owner else ""
    step = Step(
        id=f"delete Pod/{holder.key} {holder.uid}",
        verb="delete",
        target=f"pod/{holder.key}",
        action=Delete(Ref(api_version="v1", kind="Pod", name=holder.name, namespace=holder.namespace), holder.uid),
        why=f"its GPU container has ended and {_running(holder)} keeps the GPU",
        interrupts=f"{_running(holder)} of that pod{again}",
        undo=Irreversible("the pod and what it keeps on its own disk are gone"),
        consent="delete-pod",
        wait=Wait(until="one-started", args={"pods": ",".join(p.key for p in waiting)}, seconds=60)
        if waiting
        else None,
    )
    return Mend(steps=(step,))


def _running(pod: Pod) -> str:
    return ", ".join(c.name for c in pod.containers if c.state == "running" and not c.init)


REMEDY = Remedy(
    "gpu-held-by-running-sidecar",
    mend,
    does="deletes the pod whose work is done, with --allow=delete-pod; its kubelet gives the GPUs to the next one",
)
