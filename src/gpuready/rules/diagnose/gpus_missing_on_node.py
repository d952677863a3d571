"""The node offers fewer GPUs than discovery counted: some were lost, or taken out, since."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Node
from gpuready.model.fleet import each
from gpuready.model.names import RESOURCE
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known
from gpuready.rules.diagnose._objects import gpus


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    yield from each(known(cluster.nodes), _find)


def _find(node: Node) -> Iterator[Finding]:
    """Sharing makes more of them than there are; what MIG makes is not told by the label."""
    count, offered = node.labels.get(COUNT, ""), gpus(node.capacity)
    if not (count.isascii() and count.isdigit()) or any(name != RESOURCE for name in offered):
        return
    here = offered.get(RESOURCE, 0)
    if 0 < here < int(count[:6]):
        yield Finding(
            at=f"node/{node.name}",
            says=f"it offers {here} GPUs, and discovery counted {count}",
            evidence=(f"label {COUNT}={count}", f"capacity {RESOURCE}: {here}"),
            next="compare nvidia-smi -L with lspci -d 10de: on that node, and read the kernel's log for Xid 79",
            nodes=(node.name,),
        )


COUNT = "nvidia.com/gpu.count"


RULE = Rule(
    "gpus-missing-on-node",
    "diagnose",
    "fail",
    "Part of the GPUs of a node are missing",
    find,
    link="allocatable",
    symptom=True,
)
