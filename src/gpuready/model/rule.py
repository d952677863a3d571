"""A rule: a pure generator of findings over facts. The engine judges it; a touched Unknown makes it undetermined."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

Effect = Literal["refuse", "ask", "warn", "fail"]
# refuse, ask, warn: what `up` does before it touches anything (output.md); fail: a gate of verify or a fault


class Finding(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What is so, where, on what evidence, and what to do next. One sentence each; objects as kubectl takes them."""

    at: str  # node/gpu-1, ds/kube-system/nvidia-device-plugin, cluster
    says: str
    evidence: tuple[str, ...]
    next: str = ""
    nodes: tuple[str, ...] = ()  # nodes that this finding is about, where leaving them out would settle it


class Rule(msgspec.Struct, frozen=True):
    """`find` takes facts by parameter name (`cluster: ClusterFacts`, `setup: Setup`, `looks: Looks`, ...)."""

    id: str  # unique, kebab-case, never reused: "second-gpu-stack"
    layer: str  # folder below rules/
    effect: Effect
    title: str
    find: Callable[..., Iterator[Finding]]


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
