"""The plugin beside ours is sent to no node by a node selector: its object stays, and the undo brings it back."""

from __future__ import annotations

from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.names import NAMESPACE
from gpuready.model.plan import Edit, Ref, Step, Wait
from gpuready.model.remedy import ByHand, Mend, Remedy
from gpuready.model.rule import Finding
from gpuready.model.unknown import known, members

NOWHERE = "gpuready.dev/switched-off"  # a label that no node has
POINTER = f"/spec/template/spec/nodeSelector/{NOWHERE.replace('/', '~1')}"


def mend(finding: Finding, cluster: ClusterFacts) -> Mend | ByHand:
    serving = [p for p in members(cluster.pods) if p.key in finding.pods]
    if not any(p.namespace == NAMESPACE for p in serving):
        return ByHand(because="which of the two is to stay is for their owner to say", do=finding.next)
    kind, _, key = finding.at.partition("/")
    second = next((ds for ds in known(cluster.daemonsets) if kind == "ds" and ds.key == key), None)
    if second is None:
        return ByHand(because=f"{finding.at} is no DaemonSet", do=f"end {finding.at} where it is declared")
    if second.desired > len(finding.nodes):
        because = f"it serves {second.desired - len(finding.nodes)} more nodes, where nobody else does"
        return ByHand(because=because, do=f"keep it away from {', '.join(finding.nodes)} by its node affinity")
    step = Step(
        id=f"switch off DaemonSet/{key}",
        verb="change",
        target=f"ds/{key}",
        action=Edit(
            Ref(api_version="apps/v1", kind="DaemonSet", name=second.name, namespace=second.namespace),
            to={POINTER: "second-device-plugin"},
        ),
        why="a node selector that no node meets: the GPUs are served by gpuready's agent",
        interrupts="new GPU pods there for up to a minute",
        wait=Wait(until="daemonset-ready", args={"daemonset": key}, seconds=60),
    )
    return Mend(steps=(step,))


REMEDY = Remedy(
    "second-device-plugin",
    mend,
    does="sends the plugin beside ours to no node, by a node selector; its DaemonSet stays",
    by_hand="where neither plugin is ours, or the other one serves more nodes; gpuready doctor shows that it worked",
)
