"""What the reports show of GPUs: rows of plain values, computed from agent reports and pods; text and JSON use it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from gpuready.model.facts.agent import AgentReport, Gpu, Holder
from gpuready.model.facts.cluster import Pod
from gpuready.model.unknown import Unknown

Health = Literal["ok", "failed", "unknown", "?", "-"]
UNKNOWN: Final = "?"
NONE: Final = "-"


class GpuRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One GPU, or one node whose GPUs could not be read (`gpu`, `model`, `health`, `held_by` are "?")."""

    node: str
    gpu: str  # index; "?": could not look, "-": looked, there is none
    uuid: str
    model: str
    health: Health
    held_by: str  # "ml/cuda-vectoradd", "-" free, "?" could not be read
    note: str = ""
    replayed: bool = False


class StatusView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Counts are of GPUs, each in one of them: failed before held before free; `nodes_unknown` is of nodes."""

    rows: tuple[GpuRow, ...]
    held: int
    free: int
    failed: int
    unknown: int
    nodes_unknown: int


def status_view(
    reports: Mapping[str, AgentReport | Unknown], pods: tuple[Pod, ...] | Unknown, now: datetime
) -> StatusView:
    """Every node of `reports` in order of name. `now` is an aware time in UTC."""
    rows: list[GpuRow] = []
    for node in sorted(reports, key=natural):
        rows += _node_rows(node, reports[node], pods, now)
    real = [r for r in rows if r.gpu not in (UNKNOWN, NONE)]
    failed = [r for r in real if r.health == "failed"]
    unsure = [r for r in real if r.health != "failed" and (r.health != "ok" or r.held_by == UNKNOWN)]
    sound = [r for r in real if r.health == "ok" and r.held_by != UNKNOWN]
    return StatusView(
        rows=tuple(rows),
        held=sum(1 for r in sound if r.held_by != NONE),
        free=sum(1 for r in sound if r.held_by == NONE),
        failed=len(failed),
        unknown=len(unsure),
        nodes_unknown=len({r.node for r in rows if r.gpu == UNKNOWN}),
    )


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts gpu-2 before gpu-10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", name)]


def _node_rows(
    node: str, report: AgentReport | Unknown, pods: tuple[Pod, ...] | Unknown, now: datetime
) -> list[GpuRow]:
    if isinstance(report, Unknown):
        return [_blank(node, UNKNOWN, report.why)]
    gpus = report.gpus
    if isinstance(gpus, Unknown):
        return [_blank(node, UNKNOWN, gpus.why, report.replayed)]
    if not gpus:
        return [_blank(node, NONE, "the agent finds no GPU", report.replayed)]
    return [_gpu_row(report, gpu, pods, now) for gpu in gpus]


def _blank(node: str, mark: Literal["?", "-"], note: str, replayed: bool = False) -> GpuRow:
    return GpuRow(node=node, gpu=mark, uuid=mark, model=mark, health=mark, held_by=mark, note=note, replayed=replayed)


def _gpu_row(report: AgentReport, gpu: Gpu, pods: tuple[Pod, ...] | Unknown, now: datetime) -> GpuRow:
    health: Health = "ok" if gpu.health == "ok" else "failed" if gpu.health == "failed" else "unknown"
    return GpuRow(
        node=report.node,
        gpu=str(gpu.index),
        uuid=gpu.uuid,
        model=short_model(gpu.model),
        health=health,
        held_by=_held_by(gpu.held_by),
        note="; ".join(_notes(report, gpu, pods, now)),
        replayed=report.replayed,
    )


def _held_by(holders: tuple[Holder, ...] | Unknown) -> str:
    if isinstance(holders, Unknown):
        return UNKNOWN
    pods = list(dict.fromkeys(f"{h.namespace}/{h.pod}" for h in holders))
    if not pods:
        return NONE
    return pods[0] if len(pods) == 1 else f"{pods[0]} +{len(pods) - 1}"


def _notes(report: AgentReport, gpu: Gpu, pods: tuple[Pod, ...] | Unknown, now: datetime) -> list[str]:
    notes = []
    if gpu.health != "ok":
        notes.append(short_times(gpu.reason, now) or "the agent gives no reason")
    if isinstance(gpu.held_by, Unknown):
        notes.append(gpu.held_by.why)
    elif gpu.held_by:
        notes += _pod_notes(gpu.held_by, pods, now)
    elif gpu.health == "ok":
        notes.append("free")
    if not report.registered:
        notes.append("not registered with the kubelet")
    late = age(report.as_of, now)
    if late is None or late > timedelta(minutes=2):
        notes.append(f"as of {short(late)} ago" if late else "age of this report unknown")
    return [*notes, "simulated" if report.simulated else "replayed"] if report.replayed else notes


def _pod_notes(holders: tuple[Holder, ...], pods: tuple[Pod, ...] | Unknown, now: datetime) -> list[str]:
    """Says which holders do not do their work: not all of their containers are ready, or they are going."""
    if isinstance(pods, Unknown):
        return ["readiness of its pod not read"]
    by_key = {p.key: p for p in pods}
    notes = []
    for key in dict.fromkeys(f"{h.namespace}/{h.pod}" for h in holders):
        pod = by_key.get(key)
        if pod is None:
            notes.append(f"{key} is not in the API")
            continue
        main = [c for c in pod.containers if not c.init]
        ready = sum(1 for c in main if c.ready)
        if pod.terminating:
            notes.append("terminating")
        if ready < len(main):
            notes.append(f"{ready}/{len(main)} NotReady for {short(age(pod.not_ready_since, now))}")
    return notes


def age(at: str, now: datetime) -> timedelta | None:
    """Time from an RFC 3339 time to `now`, never negative; None when it is not one."""
    try:
        then = datetime.fromisoformat(at)
        return max(timedelta(0), now - then)
    except (ValueError, TypeError):  # TypeError: a time without a zone
        return None


def short(span: timedelta | None) -> str:
    """4s, 3m, 9h, 12d; "?" for None."""
    if span is None:
        return UNKNOWN
    seconds = int(span.total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size or (seconds >= size and unit != "d"):
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z")


def short_times(text: str, now: datetime) -> str:
    """Times in UTC shortened: 09:14Z when of today, else 11-22 09:14Z (with the year when of another)."""

    def shorten(match: re.Match[str]) -> str:
        try:
            then = datetime.fromisoformat(match[0])
        except ValueError:
            return match[0]
        day = "" if then.date() == now.date() else f"{then:%m-%d} "
        year = "" if then.year == now.year else f"{then.year}-"
        return f"{year}{day}{then:%H:%M}Z"

    return _TIME.sub(shorten, text)


# "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-80GB", "NVIDIA H200", "NVIDIA L40S", "Tesla T4", "Tesla V100-SXM2-16GB"
_MODEL = re.compile(
    r"^(?:NVIDIA |Tesla )(?P<chip>[A-Z]{1,2}\d{1,3}[A-Z]{0,2})"
    r"(?:[ -](?:SXM\d?|(?P<form>PCIe|NVL)))?(?:[ -](?P<memory>\d+GB))?(?: HBM\d\w?)?$"
)


def short_model(name: str) -> str:
    """H100 80GB, A100 80GB, L40S, T4; a name of another form is kept as it is."""
    match = _MODEL.match(name)
    return " ".join(filter(None, match.group("chip", "form", "memory"))) if match else name
