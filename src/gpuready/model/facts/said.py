"""What components said, line by line: events, statuses, logs, kernel messages, or text that a user pasted."""

from __future__ import annotations

from typing import Literal

from gpuready.model.facts.cluster import Frozen
from gpuready.model.unknown import Unknown

Source = Literal["event", "status", "log", "kernel", "nvidia-smi", "file", "text"]


class Line(Frozen, frozen=True, kw_only=True):
    """One statement in its own words, redacted. What is not told is empty."""

    text: str
    source: Source = "text"
    who: str = ""  # family of the speaker: kubelet, scheduler, runtime, kernel, driver, toolkit, plugin, workload ...
    about: str = ""  # pod/ml/train-0, node/gpu-1
    node: str = ""
    where: str = ""  # how to find it again: "log of pod/gpu-operator/a, container b (previous)", "line 14"
    at: str = ""  # RFC 3339


class Said(Frozen, frozen=True, kw_only=True):
    """All that was read, and what could not be: silence is silence only where `missing` is empty."""

    lines: tuple[Line, ...] = ()
    missing: tuple[Unknown, ...] = ()
