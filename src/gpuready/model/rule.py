"""A rule: a pure generator of findings over facts. The engine judges it; a touched Unknown makes it undetermined."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

Effect = Literal["refuse", "ask", "warn", "fail"]
# refuse, ask, warn: what `up` does before it touches anything (output.md); fail: a gate of verify or a fault


SURE = 1.5  # weight from which words alone are proof enough


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is so, where, on what evidence, and what to do next. One sentence each; objects as kubectl takes them."""

    at: str  # node/gpu-1, ds/kube-system/nvidia-device-plugin, cluster
    says: str
    evidence: tuple[str, ...]
    next: str = ""
    nodes: tuple[str, ...] = ()  # nodes that this finding is about, where leaving them out would settle it
    pods: tuple[str, ...] = ()  # ns/name of pods that it is about
    weight: float = 0.0  # of the words that it rests on (knowledge/lexicon.py); 0: it rests on more than words

    @property
    def sure(self) -> bool:
        """Whether what it rests on is proof enough, or only fits."""
        return self.weight == 0.0 or self.weight >= SURE


class Rule(msgspec.Struct, frozen=True):
    """`find` takes facts by parameter name (`cluster: ClusterFacts`, `setup: Setup`, `looks: Looks`, ...)."""

    id: str  # unique, kebab-case, never reused: "second-gpu-stack"
    layer: str  # folder below rules/
    effect: Effect
    title: str
    find: Callable[..., Iterator[Finding]]
    link: str = ""  # of the chain (model/chain.py); every rule of layer `diagnose` has one
    symptom: bool = False  # a state that something else brings about: never a cause beside an earlier broken link
    because: tuple[str, ...] = ()  # ids of rules of which this finding is a consequence where both are found
    signs: tuple[str, ...] = ()  # by which words it knows its cause (knowledge/lexicon.py)
    next: str = ""  # where it is the same for every finding


Status = Literal["pass", "found", "undetermined", "not-applicable", "crashed"]


class Verdict(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    rule: str
    effect: Effect
    status: Status
    findings: tuple[Finding, ...] = ()
    missing: str = ""  # undetermined: what could not be read; crashed: the error
    ask: str = ""  # the one next reading that decides


class NotApplicable(Exception):
    """Raised by a rule whose subject is not there at all (no agent, no spec): neither pass nor fail."""


Facts = dict[str, Any]
