"""A remedy: from a finding of one rule to the steps that mend it, or to what a person has to do. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gpuready.model.plan import Step


class Mend(msgspec.Struct, frozen=True, kw_only=True):
    """Steps that the engine can take, in order, shown and consented like any other plan."""

    steps: tuple[Step, ...]
    proved_by: str = ""  # what beside the rule's silence shows that it worked: "pod/ml/train-0 starts"


class ByHand(msgspec.Struct, frozen=True, kw_only=True):
    """No API can do it, or not without a decision that is not ours."""

    because: str  # why gpuready does not do it
    do: str  # what to do, one imperative sentence
    proved_by: str  # the command or reading that shows that it worked


class Remedy(msgspec.Struct, frozen=True):
    """`mend` takes the finding first, then facts by parameter name like a rule: mend(finding, cluster, hosts)."""

    rule: str  # id of the rule whose findings it mends; its file has the same name
    mend: Callable[..., Mend | ByHand]
