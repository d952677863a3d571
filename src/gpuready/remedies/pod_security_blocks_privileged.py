"""The namespace of the GPU stack lets in privileged pods, which driver, toolkit and device plugin are."""

from __future__ import annotations

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.plan import Edit, Ref, Step, Wait
from gpuready.model.remedy import ByHand, Mend, Remedy
from gpuready.model.rule import Finding
from gpuready.model.unknown import known

ENFORCE = "pod-security.kubernetes.io/enforce"


def mend(finding: Finding, cluster: ClusterFacts) -> Mend | ByHand:
    """A level that the cluster has for every namespace is told by no label; the namespace's own goes before it."""
    name = finding.at.split("/")[1] if "/" in finding.at else ""
    namespace = next((n for n in known(cluster.namespaces) if n.name == name), None)
    level = namespace.labels.get(ENFORCE, "") if namespace else ""
    if namespace is None or not (level or any("PodSecurity" in line for line in finding.evidence)):
        return ByHand(because="it is not Pod Security by which the pods are refused", do=finding.next)
    short = [ds.key for ds in known(cluster.daemonsets) if ds.namespace == name and ds.current < ds.desired]
    step = Step(
        id=f"label Namespace/{name}",
        verb="label",
        target=f"ns/{name}",
        action=Edit(
            Ref(api_version="v1", kind="Namespace", name=name),
            to={f"/metadata/labels/{ENFORCE.replace('/', '~1')}": "privileged"},
        ),
        why="lowers its Pod Security level: whoever may create pods in it may then take over their nodes",
        wait=Wait(until="daemonset-ready", args={"daemonset": short[0]}, seconds=180) if short else None,
    )
    return Mend(steps=(step,))


REMEDY = Remedy(
    "pod-security-blocks-privileged",
    mend,
    does="labels the namespace so that Pod Security admits privileged pods",
    by_hand="where something else than Pod Security refuses the pods; gpuready doctor shows that it worked",
)
