"""The Prometheus text format, version 0.0.4.

prometheus_client writes it too, but it appends `_total` to the name of every counter: dcgm-exporter's counters have no
such ending, and dashboards ask for the names as they are.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Labels = tuple[tuple[str, str], ...]


class Point(msgspec.Struct, frozen=True):
    labels: Labels
    value: int | float
    suffix: str = ""  # of a histogram: _bucket, _sum, _count


class Family(msgspec.Struct, frozen=True):
    name: str
    kind: str  # gauge, counter, histogram
    help: str
    points: tuple[Point, ...]


def render(families: Iterable[Family]) -> str:
    """Each family once, those without points left out."""
    lines: list[str] = []
    for family in families:
        if not family.points:
            continue
        lines += [f"# HELP {family.name} {escape_help(family.help)}", f"# TYPE {family.name} {family.kind}"]
        lines += [f"{family.name}{point.suffix}{braces(point.labels)} {number(point.value)}" for point in family.points]
    return "\n".join(lines) + "\n"


def braces(labels: Labels) -> str:
    return "{" + ",".join(f'{key}="{escape(value)}"' for key, value in labels) + "}" if labels else ""


def escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def escape_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def number(value: int | float) -> str:
    """As dcgm-exporter: whole numbers plain, others with six decimals."""
    return f"{value:.6f}" if isinstance(value, float) else str(value)
