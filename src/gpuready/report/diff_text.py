"""What each step changes, field by field: before -> after."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from gpuready.model.plan import (
    Apply,
    Delete,
    DryRun,
    Edit,
    FieldChange,
    Manual,
    Patch,
    Plan,
    Probe,
    Release,
    Restore,
    RuntimeEntry,
    Step,
)
from gpuready.model.redact import HIDDEN
from gpuready.report.colour import Role, paint
from gpuready.report.escape import one_line, wrap
from gpuready.report.plan_text import DIGEST

# Of a created object: what decides about security, placement and what runs. Everything else is in the full view.
TELLING = re.compile(
    r"\.image$|\.args$|\.command$|hostPath\.path$|hostPath$|nodeSelector|tolerations|securityContext|hostPID|hostNetwork"
    r"|serviceAccountName|riorityClass|preemptionPolicy|^\.value$|pod-security|updateStrategy"
    r"|^\.rules|^\.roleRef|^\.subjects|failurePolicy|validationActions|gpuready\.dev/"
)
SHORT_LIMIT, FULL_LIMIT = 300, 20_000  # characters of one entry


def diff_text(plan: Plan, *, full: bool = False, width: int | None = 80, colour: bool = False) -> str:
    """A block for each step. Not `full`: of created objects the telling fields only, long values shortened."""
    blocks = []
    for number, step in enumerate(plan.steps, 1):
        head = paint(one_line(f"{number}  {step.verb} {step.target}"), "heading", colour)
        lines = [line for mark, text in _entries(step, full) for line in _entry(mark, text, full, width, colour)]
        blocks.append("\n".join([head, *lines]))
    return "\n".join(blocks)


def _entry(mark: str, text: str, full: bool, width: int | None, colour: bool) -> list[str]:
    role: Role = {"+": "ok", "-": "fail", "~": "warn"}.get(mark, "")  # type: ignore[assignment]
    clean = one_line(text if full else DIGEST.sub(r"\1", text), FULL_LIMIT if full else SHORT_LIMIT)
    lines = wrap(clean, None if width is None else width - 5, 2)
    return [f"   {paint(mark, role, colour)} {lines[0]}".rstrip(), *(f"     {line}" for line in lines[1:])]


def _entries(step: Step, full: bool) -> Iterator[tuple[str, str]]:
    """(mark, text); mark + appears, - goes, ~ changes, blank: said in words."""
    secret = isinstance(step.action, Apply | Patch) and step.action.object.get("kind") == "Secret"
    if step.changes:
        shown = step.changes if full or step.verb != "create" else _telling(step.changes)
        yield from (_field(c, secret) for c in shown)
        if len(shown) < len(step.changes):
            yield " ", f"and {len(step.changes) - len(shown)} more fields"
        return
    match step.action:
        case Delete(ref=ref, uid=uid):
            yield "-", f"{ref} with uid {uid}"
        case Restore(ours=ours, before=before):
            yield from (_field(FieldChange(path=p, before=v, after=before.get(p)), secret) for p, v in ours.items())
        case Release(manager=manager):
            yield "-", f"every field that manager {manager} owns"
        case Probe(pods=pods):
            yield from ((" ", f"pod/{_name(pod)} on node/{node}, removed at once") for node, pod in pods.items())
        case RuntimeEntry(handler=handler, binaries=binaries):
            yield ("+", f"handler {handler} with {' or '.join(binaries)}") if binaries else ("-", f"handler {handler}")
        case DryRun():
            yield " ", "asked of the API server only; nothing is created"
        case Manual(text=text):
            yield " ", text
        case Apply() | Patch() | Edit():
            yield "+" if step.verb == "create" else "~", "the object as it was applied before"


def _telling(changes: tuple[FieldChange, ...]) -> tuple[FieldChange, ...]:
    return tuple(c for c in changes if TELLING.search(c.path)) or changes[:3]


def _field(change: FieldChange, secret: bool) -> tuple[str, str]:
    hidden = secret and change.path.lstrip("./").startswith(("data", "stringData"))
    before, after = (HIDDEN if hidden and v is not None else _value(v) for v in (change.before, change.after))
    path = change.path.removeprefix(".")
    if change.before is None:
        return "+", f"{path}: {after}"
    if change.after is None:
        return "-", f"{path}: {before}"
    return "~", f"{path}: {before} -> {after}"


def _value(value: Any) -> str:
    return value if isinstance(value, str) and value else msgspec.json.encode(value).decode()


def _name(pod: Any) -> str:
    return str(pod.get("metadata", {}).get("name", "?"))
