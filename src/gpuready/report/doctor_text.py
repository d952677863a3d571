"""A diagnosis as text: each cause with its evidence, what follows from it, how to mend it, and what was not read."""

from __future__ import annotations

from collections.abc import Sequence

from gpuready.model.diagnosis import Cause, Diagnosis, Found, Open
from gpuready.report.colour import Role, paint
from gpuready.report.escape import one_line, wrap

INDENT = 2
MOST_OPEN = 5  # questions shown; the rest are counted


def doctor_text(diagnosis: Diagnosis, *, width: int | None = 80, colour: bool = False) -> str:
    """Blocks with an empty line between them. Never empty: where nothing is wrong it says what that rests on."""
    blocks = [cause_text(cause, width, colour) for cause in diagnosis.causes]
    if diagnosis.unread:
        blocks.append(_unread(diagnosis.unread, width, colour))
    blocks.append(_last_line(diagnosis, width, colour))
    return "\n\n".join(blocks)


def cause_text(cause: Cause, width: int | None, colour: bool) -> str:
    found = cause.found
    word: str = "SYMPTOM" if found.symptom else "CAUSE" if found.finding.sure else "LIKELY"
    role: Role = "warn" if found.symptom or not found.finding.sure else "fail"
    out = _head(word, role, f"{found.rule}  {found.finding.at}", width, colour)
    out += _lines([found.finding.says, *(f"evidence: {e}" for e in found.finding.evidence)], width)
    out += _lines([f"so: {_consequence(one)}" for one in cause.so], width)
    if found.symptom:
        out += _lines(["the cause of this was not found in what was read"], width)
    if found.finding.next:
        out += _head("MEND", "ok", found.finding.next, width, colour)
    return "\n".join(out)


def _consequence(one: Found) -> str:
    return f"{one.finding.at}: {one.finding.says} ({one.rule})"


def _unread(unread: Sequence[Open], width: int | None, colour: bool) -> str:
    """One line for each thing that could not be read, with the questions that it leaves open."""
    by_reading: dict[tuple[str, str], list[Open]] = {}
    for one in unread:
        by_reading.setdefault((one.missing, one.ask), []).append(one)
    out: list[str] = []
    for (missing, ask), questions in list(by_reading.items())[:MOST_OPEN]:
        names = ", ".join(q.rule for q in questions[:3])
        more = f" and {len(questions) - 3} more" if len(questions) > 3 else ""
        out += _head("NOT READ", "unknown", f"{missing}; open: {names}{more}", width, colour)
        if ask:
            out += _lines([f"would decide: {ask}"], width)
    if len(by_reading) > MOST_OPEN:
        out += _lines([f"and {len(by_reading) - MOST_OPEN} more readings; -o json lists them"], width)
    return "\n".join(out)


def _last_line(diagnosis: Diagnosis, width: int | None, colour: bool) -> str:
    causes = sum(1 for c in diagnosis.causes if not c.found.symptom)
    alone = len(diagnosis.causes) - causes
    role: Role
    parts = [f"{causes} cause{'' if causes == 1 else 's'}"] if causes else []
    parts += [f"{alone} symptom{'' if alone == 1 else 's'} without a known cause"] if alone else []
    if not parts and diagnosis.unread:
        text, role = "undetermined: nothing was found, and not everything could be read", "unknown"
    elif not parts and diagnosis.nothing:
        text, role = f"nothing to judge: {diagnosis.nothing}", "heading"
    elif not parts:
        text, role = f"nothing is wrong: {diagnosis.looked_at} checks passed", "ok"
    else:
        text, role = f"found: {', '.join(parts)}", "heading"
    lines = wrap(one_line(f"{text} (exit {diagnosis.exit_code})"), width)
    return "\n".join(paint(line, role, colour) for line in lines)


def _head(word: str, role: Role, text: str, width: int | None, colour: bool) -> list[str]:
    first, *rest = wrap(f"{word}  {one_line(text)}", width, INDENT)
    return [paint(word, role, colour) + first[len(word) :], *rest]


def _lines(texts: Sequence[str], width: int | None) -> list[str]:
    room = None if width is None else width - INDENT
    return [" " * INDENT + line for text in texts for line in wrap(one_line(text), room, INDENT)]
