"""What the doctor says: causes, what follows from each, and what could not be read."""

from __future__ import annotations

import msgspec

from gpuready.model.rule import Finding


class Found(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A finding with the rule that made it."""

    rule: str
    title: str
    link: str  # of the chain: model/chain.py
    finding: Finding
    symptom: bool = False


class Cause(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`found` explains all of `so`, the nearest first. A symptom that nothing explains stands here too, and says so."""

    found: Found
    so: tuple[Found, ...] = ()


class Open(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A question that the evidence leaves open."""

    rule: str
    title: str
    link: str
    missing: str
    ask: str = ""  # the one next reading that decides


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Causes, the likeliest first. `unread`: in the order of the chain, and only what could still matter."""

    causes: tuple[Cause, ...] = ()
    unread: tuple[Open, ...] = ()
    looked_at: int = 0  # rules judged
    nothing: str = ""  # why there is nothing to judge: the cluster has no GPUs and nobody wants any

    @property
    def exit_code(self) -> int:
        """2: something was found, 3: nothing was found and something could not be read, 0: well, or no patient."""
        return 2 if self.causes else 3 if self.unread else 0
