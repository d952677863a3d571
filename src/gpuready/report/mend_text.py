"""What `doctor --fix` says: what is left to a person, and what came of the mend, cause by cause."""

from __future__ import annotations

from collections.abc import Sequence

from gpuready.model.diagnosis import Found
from gpuready.model.remedy import Answered, ByHand, Outcome
from gpuready.report.colour import Role, paint
from gpuready.report.escape import one_line, wrap

INDENT = 2
ROLES: dict[str, Role] = {"mended": "ok", "still there": "fail", "undetermined": "unknown"}


def by_hand_text(answered: Sequence[Answered], *, width: int | None = 80, colour: bool = False) -> str:
    """A block for each cause that the plan does not mend. Empty: there is none."""
    return "\n\n".join(_by_hand(a.found, a.answer, width, colour) for a in answered if isinstance(a.answer, ByHand))


def _by_hand(found: Found, answer: ByHand, width: int | None, colour: bool) -> str:
    more = [answer.because, f"do: {answer.do}", f"proved by: {answer.proved_by}"]
    return "\n".join([*_head("BY HAND", "ask", _name(found), width, colour), *_lines(more, width)])


def outcome_text(
    outcomes: Sequence[Outcome],
    left: Sequence[Found],
    *,
    exit_code: int,
    keeps: Sequence[str] = (),
    width: int | None = 80,
    colour: bool = False,
) -> str:
    """What the evidence says after the mend. `left`: what is found now and was no cause before; `keeps`: what of the
    run itself stays in the cluster, and how it goes."""
    out: list[str] = []
    for one in outcomes:
        out += _head(one.state.upper(), ROLES[one.state], f"{_name(one.found)}: {one.says}", width, colour)
        if one.state == "undetermined":
            out += _lines(["the plan was carried out; whether it helped could not be read"], width)
    for found in left:
        out += _head("LEFT", "warn", f"{_name(found)}: {found.finding.says}", width, colour)
        out += _lines([f"do: {found.finding.next}"] if found.finding.next else [], width)
    done = sum(1 for o in outcomes if o.state == "mended")
    if exit_code == 3 and done == len(outcomes):
        keeps = [*keeps, "not everything could be read: gpuready doctor names what is missing"]
    last = f"mended: {done} of {len(outcomes)} cause{'' if len(outcomes) == 1 else 's'} (exit {exit_code})"
    return "\n".join([*out, *(line for text in (*keeps, last) for line in wrap(one_line(text), width, INDENT))])


def _name(found: Found) -> str:
    return f"{found.rule}  {found.finding.at}"


def _head(word: str, role: Role, text: str, width: int | None, colour: bool) -> list[str]:
    first, *rest = wrap(f"{word}  {one_line(text)}", width, INDENT)
    return [paint(word, role, colour) + first[len(word) :], *rest]


def _lines(texts: Sequence[str], width: int | None) -> list[str]:
    room = None if width is None else width - INDENT
    return [" " * INDENT + line for text in texts for line in wrap(one_line(text), room, INDENT)]
