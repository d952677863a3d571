"""A plan as text: where it would be carried out, every step with its reason, what is left out, and the sum."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence

from gpuready.model.facts.cluster import Identity
from gpuready.model.plan import (
    Apply,
    Delete,
    DryRun,
    Edit,
    Helm,
    HelmUninstall,
    Irreversible,
    Manual,
    Patch,
    Plan,
    Probe,
    Release,
    Restore,
    RuntimeEntry,
    Skipped,
    Step,
    Value,
)
from gpuready.model.rule import Verdict
from gpuready.model.unknown import Unknown
from gpuready.report.colour import Role
from gpuready.report.escape import cells, one_line
from gpuready.report.findings_text import findings_text
from gpuready.report.table import Cell, Column, Heading, Row, paragraph, table

STEPS = (
    Column("#"),
    Column("CHANGE", "wrap", 22, hang=2),
    Column("WHY", "wrap", 18),
    Column("INTERRUPTS", "wrap", 10),
    Column("UNDO", "wrap", 9),
)
VALUES = (
    Column("VALUE", "wrap", 16, hang=2),
    Column("IS", "wrap", 16),
    Column("FROM"),
    Column("WHY", "wrap", 16),
)
NAMES_SHOWN = 3
DIGEST = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")
NOT_LOOKED = Unknown("the nodes were not looked at yet")


def plan_text(
    plan: Plan,
    identity: Identity,
    *,
    verdicts: Sequence[Verdict] = (),
    gpu_nodes: int | Unknown | None = NOT_LOOKED,
    next: str = "",
    allowed: Collection[str] = (),
    width: int | None = 80,
    colour: bool = False,
) -> str:
    """The whole plan for a person to decide from. `gpu_nodes` None: they have no part in it. `next` is the command that
    leads on, where there is one; `allowed` the consents that were given already."""
    blocks = [cluster_line(identity, gpu_nodes, width)]
    rows = _rows(plan)
    if plan.steps or plan.pending:
        blocks.append(table(STEPS, rows, width, colour))
        blocks.append(values_text(plan.values, width=width, colour=colour))
    elif rows:
        blocks.append("\n".join(paragraph(f"-  skip {_few(n)}: {why}", width, 3) for n, why in _grouped(plan.skipped)))
    blocks.append(findings_text(verdicts, width=width, colour=colour))
    last = summary(plan) if plan.steps or plan.pending else nothing_to_do(plan)
    closing = [last, *_consents(plan, allowed), *([f"next: {next}"] if next else [])]
    blocks.append("\n".join(paragraph(line, width) for line in closing))
    return "\n\n".join(b for b in blocks if b)


def cluster_line(identity: Identity, gpu_nodes: int | Unknown | None = NOT_LOOKED, width: int | None = 80) -> str:
    """prod-eu  https://10.0.0.5:6443  id 7c1e02aa  Kubernetes 1.34.4  GPU nodes 3"""
    name = identity.name or identity.context or "cluster"
    context = f" (context {identity.context})" if identity.context and identity.context != name else ""
    parts = [
        name + context,
        identity.server + (" (TLS not verified)" if identity.insecure else ""),
        f"id {identity.uid[:8] or '?'}",
        f"Kubernetes {identity.version.removeprefix('v') or '?'}",
        *([] if gpu_nodes is None else [f"GPU nodes {gpu_nodes}"]),
    ]
    return "\n".join(_flow([one_line(p) for p in parts], width))


def _flow(parts: Iterable[str], width: int | None) -> Iterator[str]:
    """Parts side by side, two blanks between them, broken only between parts."""
    line = ""
    for part in parts:
        joined = f"{line}  {part}" if line else part
        if line and width is not None and cells(joined) > width:
            yield line
            joined = f"  {part}"
        line = joined
    yield line


def _rows(plan: Plan) -> list[Row]:
    rows: list[Row] = []
    number = 0
    headed = len(plan.stages) > 1
    for stage in plan.stages:
        if headed:
            rows.append(Heading(f"{stage.name}:"))
        for step in stage.steps:
            number += 1
            rows.append(_step_row(number, step))
        if stage.pending:
            rows.append(["?", Cell("not known yet", "unknown"), stage.pending, "?", "?"])
    return rows + [_skip_row(names, why) for names, why in _grouped(plan.skipped)]


def _step_row(number: int, step: Step) -> list[str | Cell]:
    undo: Role = "warn" if isinstance(step.undo, Irreversible) else ""
    interrupts: Role = "" if step.interrupts == "nothing" else "warn"
    change = f"{step.verb} {step.target}"
    return [str(number), change, step.why, Cell(step.interrupts, interrupts), Cell(str(step.undo), undo)]


def _skip_row(names: list[str], why: str) -> list[str | Cell]:
    if len(names) == 1:
        return ["-", f"skip {names[0]}", why]
    return ["-", f"skip {_few(names)}: {why}"]


def _grouped(skipped: Iterable[Skipped]) -> list[tuple[list[str], str]]:
    """Objects that are left out for the same reason share a row."""
    groups: dict[str, list[str]] = {}
    for item in skipped:
        groups.setdefault(item.why, []).append(item.target)
    return [(names, why) for why, names in groups.items()]


def _few(names: list[str]) -> str:
    """All names, or the first ones and how many more."""
    hidden = len(names) - NAMES_SHOWN
    return ", ".join(names) if hidden <= 1 else f"{', '.join(names[:NAMES_SHOWN])} and {hidden} more"


def values_text(values: Iterable[Value], *, width: int | None = 80, colour: bool = False) -> str:
    """Each value and where it comes from; nodes that share a value share a row. Image digests are shortened."""
    groups: dict[tuple[str, str, str, str], list[str]] = {}
    for value in values:
        what, of, node = value.path.partition(" of ")
        key = (what + of, DIGEST.sub(r"\1", value.value), value.origin, value.because)
        groups.setdefault(key, []).append(node)
    rows = [[what + _few(nodes), is_, origin, because] for (what, is_, origin, because), nodes in groups.items()]
    return table(VALUES, rows, width, colour) if rows else ""


def summary(plan: Plan) -> str:
    """2 to create, 0 to change, 0 to delete, 1 skipped"""
    count = dict.fromkeys(("create", "change", "delete", "restart", "probe", "check", "do by hand"), 0)
    for step in plan.steps:
        count[_sort(step)] += 1
    first = ", ".join(f"{count[k]} to {k}" for k in ("create", "change", "delete"))
    rest = [f"{n} to {k}" for k, n in list(count.items())[3:] if n]
    later = ", ".join(s.name for s in plan.stages if s.pending)
    end = f"; {later} is planned after that" if later else ""
    return ", ".join([first, *rest, f"{len(plan.skipped)} skipped"]) + end


def _sort(step: Step) -> str:
    match step.action:
        case Apply():
            return "create" if step.verb == "create" else "change"
        case Delete():
            return "restart" if step.verb == "restart" else "delete"
        case Patch() | Edit() | Restore() | Release() | RuntimeEntry():
            return "change"
        case Probe():
            return "probe"
        case DryRun():
            return "check"
        case Helm():
            return "create" if step.verb == "install" else "change"
        case HelmUninstall():
            return "delete"
        case Manual():
            return "do by hand"


def nothing_to_do(plan: Plan) -> str:
    nodes = sum(1 for u in plan.unchanged if u.startswith("node/"))
    objects = len(plan.unchanged) - nodes
    if plan.purpose == "uninstall":
        return "nothing to do: nothing of gpuready is in this cluster"
    if plan.purpose == "undo":
        return "nothing to do: nothing of that run can be taken back"
    if not plan.unchanged:
        return "nothing to do: no node of this cluster is meant by the spec and has a GPU"
    are = "is" if objects + nodes == 1 else "are"
    return f"nothing to do: {_number(objects, 'object')} and {_number(nodes, 'node')} {are} as the spec says"


def _number(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _consents(plan: Plan, allowed: Collection[str]) -> list[str]:
    needed = list(dict.fromkeys(s.consent for s in plan.steps if s.consent and s.consent not in allowed))
    final = [str(i) for i, s in enumerate(plan.steps, 1) if isinstance(s.undo, Irreversible)]
    lines = []
    if final:
        lines.append(f"cannot be undone: step{'s' if len(final) > 1 else ''} {', '.join(final)}")
    if needed:
        lines.append(f"needs --allow={','.join(needed)}; --yes does not cover it")
    return lines
