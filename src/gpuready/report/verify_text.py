"""`gpuready verify` as text: what each GPU did, the outcome, and what to do next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from gpuready.model.verdict import GpuVerdict
from gpuready.report.colour import Role, paint
from gpuready.report.table import Cell, Column, paragraph, table
from gpuready.report.view import natural

COLUMNS = (
    Column("NODE", "wrap", 16),
    Column("GPU"),
    Column("SCHEDULED"),
    Column("COMPUTED"),
    Column("VERDICT"),
    Column("TIME"),
    Column("NOTE", "wrap", 20),
)
ROLES: dict[str, Role] = {"PASS": "ok", "FAIL": "fail", "UNDETERMINED": "unknown"}
UUID_DIGITS = 8


class Outcome(NamedTuple):
    """Of a whole verification. `word` tells of replayed GPUs; `exit_code`: 0 pass, 2 fail, 3 undetermined."""

    word: str
    exit_code: int
    role: Role


class Probes(NamedTuple):
    made: int
    removed: int


def outcome(verdicts: Sequence[GpuVerdict]) -> Outcome:
    """FAIL (2) when any GPU failed, else UNDETERMINED (3) when any is or there is none, else PASS (0)."""
    found = {v.verdict for v in verdicts}
    for word, code in (("FAIL", 2), ("UNDETERMINED", 3)):
        if word in found:
            return Outcome(word, code, ROLES[word])
    if not verdicts:
        return Outcome("UNDETERMINED", 3, "unknown")
    stand_in = next((f" ({v.stand_in})" for v in verdicts if v.stand_in), "")
    return Outcome(f"PASS{stand_in}", 0, "ok")


def verify_text(
    verdicts: Sequence[GpuVerdict],
    *,
    probes: Probes | None = None,
    next: str = "",
    width: int | None = 80,
    colour: bool = False,
) -> str:
    """One row a GPU and a last line: what was cleaned up, the outcome with its exit code, the next command."""
    whole = outcome(verdicts)
    cleaned = f"{probes.removed} of {probes.made} probes removed; " if probes else ""
    none = "" if verdicts else "no GPU was verified; "
    last = f"{cleaned}{none}{whole.word} (exit {whole.exit_code}){f'; next: {next}' if next else ''}"
    last = paragraph(last, width).replace(whole.word, paint(whole.word, whole.role, colour), 1)
    if not verdicts:
        return last
    names = short_uuids([v.uuid for v in verdicts])
    ordered = sorted(verdicts, key=lambda v: natural(v.node))
    return f"{table(COLUMNS, [_row(v, names) for v in ordered], width, colour)}\n{last}"


def _row(v: GpuVerdict, names: dict[str, str]) -> list[str | Cell]:
    verdict = f"{v.verdict} ({v.stand_in})" if v.stand_in else v.verdict
    took = "" if v.seconds is None else f"{v.seconds:.1f} s"
    return [
        v.node,
        names[v.uuid],
        Cell(v.scheduled, _part(v.scheduled)),
        Cell(v.computed, _part(v.computed)),
        Cell(verdict, ROLES[v.verdict]),
        took,
        v.note,
    ]


def _part(word: str) -> Role:
    return "fail" if word == "fail" else ""


def short_uuids(uuids: Sequence[str]) -> dict[str, str]:
    """GPU-3f2a9c01 for GPU-3f2a9c01-...; longer where two of them would look the same."""
    distinct = sorted(set(uuids))
    longest = max(map(len, distinct), default=0)
    for digits in range(UUID_DIGITS, longest + 1):
        short = {u: _shortened(u, digits) for u in distinct}
        if len(set(short.values())) == len(distinct):
            return short
    return {u: u for u in distinct}


def _shortened(uuid: str, digits: int) -> str:
    kind, dash, rest = uuid.partition("-")
    if not dash or kind not in ("GPU", "MIG"):
        return uuid
    return f"{kind}-{rest[:digits].rstrip('-')}"
