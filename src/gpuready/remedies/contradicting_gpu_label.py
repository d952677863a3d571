"""The label that somebody set by hand on a node without GPUs is removed; what it was is kept for the undo."""

from __future__ import annotations

from gpuready.model.plan import Edit, Ref, Step
from gpuready.model.remedy import Mend, Remedy
from gpuready.model.rule import Finding


def mend(finding: Finding) -> Mend:
    keys = [line.removeprefix("label ").partition("=")[0] for line in finding.evidence if line.startswith("label ")]
    node = finding.nodes[0]
    step = Step(
        id=f"unlabel Node/{node}",
        verb="unlabel",
        target=f"node/{node}",
        action=Edit(
            Ref(api_version="v1", kind="Node", name=node), to={f"/metadata/labels/{_escaped(k)}": None for k in keys}
        ),
        why="set by hand, and the node has no GPU",
        interrupts="pods that these labels brought there",
    )
    return Mend(steps=(step,))


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


REMEDY = Remedy(
    "contradicting-gpu-label",
    mend,
    does="removes the labels that were set by hand, and keeps what they were for the undo",
)
