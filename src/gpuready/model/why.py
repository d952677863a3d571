"""What `gpuready why` says of one pod or node: the chain below it, link by link."""

from __future__ import annotations

from typing import Literal

import msgspec

from gpuready.model.diagnosis import Diagnosis

# ok: something proves it. silent: all that could speak against it was read, and nothing does. unknown: not all was.
State = Literal["ok", "silent", "broken", "unknown", "not reached"]


class LinkState(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    link: str  # model/chain.py
    state: State
    says: tuple[str, ...] = ()  # the evidence; of a broken one the causes
    ask: str = ""  # unknown: the one next reading that decides


class NodeGpus(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A node on which the pod runs or could run."""

    node: str
    allocatable: int
    held: tuple[str, ...] = ()  # "ml/train-0 holds 2"


class Why(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`diagnosis` is the doctor's, narrowed to what concerns the target."""

    target: str  # pod/ml/train-0, node/gpu-1
    state: str  # in words: "Pending", "Running on node/gpu-1"
    well: bool  # it runs, or offers its GPUs, as it should
    rests_on: tuple[str, ...] = ()  # where it is well: what shows it
    links: tuple[LinkState, ...] = ()
    waits_for: tuple[str, ...] = ()
    nodes: tuple[NodeGpus, ...] = ()
    kept_off: tuple[str, ...] = ()  # nodes with GPUs on which it may not run, and why
    diagnosis: Diagnosis = Diagnosis()
    next: str = ""

    @property
    def exit_code(self) -> int:
        """As of a diagnosis; one that is not well without a known cause is undetermined."""
        return 0 if self.well and not self.diagnosis.causes else self.diagnosis.exit_code or 3
