"""A remedy: from a finding of one rule to the steps that mend it, or to what a person has to do. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec

from gpuready.model.diagnosis import Found
from gpuready.model.plan import Step
from gpuready.model.spec import Setup


class Mend(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="mend"):
    """Steps that the engine can take, in order, shown and consented like any other plan.

    An `Edit` says only what is to be: what was there, the UID and the shown changes are added when the plan is made.
    A step's `wait` is what shows, beside the rule's silence, that it worked.
    """

    steps: tuple[Step, ...]


class Respec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="respec"):
    """What is installed is to be as another spec says: the steps are those of `up` with it."""

    setup: Setup
    path: str  # the key to be put into gpuready.yaml too: "nodes.tolerations"
    value: str  # and what it is to be: "[{key: gpu, effect: NoSchedule}]"


class ByHand(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="by-hand"):
    """No API can do it, or not without a decision that is not ours."""

    because: str  # why gpuready does not do it
    do: str  # what to do, one imperative sentence
    proved_by: str = "gpuready doctor"  # the command or reading that shows that it worked


Answer = Mend | Respec | ByHand


class Remedy(msgspec.Struct, frozen=True):
    """`mend` takes the finding first, then facts by parameter name like a rule: mend(finding, cluster, hosts).

    Beside the facts of the rules there is `inventory`, all that is ours in the cluster.
    """

    rule: str  # id of the rule whose findings it mends; its file has the same name
    mend: Callable[..., Answer]
    does: str = ""  # what `doctor --fix` does, from the verb on, with the consent that it needs; empty: nothing
    by_hand: str = ""  # where it is left to a person, and what shows then that it worked; empty: nowhere by itself


class Answered(msgspec.Struct, frozen=True):
    """A cause and what is to be done about it."""

    found: Found
    answer: Answer


class Outcome(msgspec.Struct, frozen=True):
    """What the evidence says of a cause after the mend."""

    found: Found
    state: Literal["mended", "still there", "undetermined"]
    says: str  # what it rests on
