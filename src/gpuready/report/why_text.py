"""`gpuready why` as text: what it is in, the chain below it, its causes, who holds the GPUs, the next step."""

from __future__ import annotations

from collections.abc import Sequence

from gpuready.model.why import LinkState, Why
from gpuready.report.colour import Role, paint
from gpuready.report.doctor_text import cause_text
from gpuready.report.escape import one_line, wrap
from gpuready.report.table import Cell, Column, table

COLUMNS = (Column("LINK"), Column("STATE"), Column("RESTS ON", "wrap", 30, 2))
ROLES: dict[str, Role] = {"ok": "ok", "broken": "fail", "unknown": "unknown", "silent": "", "not reached": ""}
WORDS = {"silent": "-", "unknown": "?"}
MOST_KEPT_OFF = 5
INDENT = 2


def why_text(why: Why, *, width: int | None = 80, colour: bool = False) -> str:
    """Blocks with an empty line between them: head, chain, causes, GPUs, last line."""
    word, role = _word(why)
    head = [f"{why.target}  {word}: {why.state}", *why.rests_on, *(f"waits for {one}" for one in why.waits_for)]
    blocks = [_paragraphs(head, width, word, role, colour)]
    blocks.append(table(COLUMNS, [_row(link) for link in why.links], width, colour))
    blocks += [cause_text(cause, width, colour) for cause in why.diagnosis.causes]
    if gpus := _gpus(why):
        blocks.append(_paragraphs(gpus, width))
    blocks.append(_last(why, width, colour))
    return "\n\n".join(blocks)


def _word(why: Why) -> tuple[str, Role]:
    if why.well:
        return ("well, with a fault near it", "warn") if why.diagnosis.causes else ("well", "ok")
    return ("not well", "fail") if why.diagnosis.causes else ("not well, cause unknown", "unknown")


def _row(link: LinkState) -> list[str | Cell]:
    says = "; ".join((*link.says, *((f"would decide: {link.ask}",) if link.ask else ())))
    return [link.link, Cell(WORDS.get(link.state, link.state), ROLES[link.state]), says]


def _gpus(why: Why) -> list[str]:
    lines = []
    for node in why.nodes:
        held = ", ".join(node.held) or "nobody holds one"
        lines.append(f"GPUs of node/{node.node}: {node.allocatable} allocatable; {held}")
    lines += [f"cannot run on {one}" for one in why.kept_off[:MOST_KEPT_OFF]]
    if len(why.kept_off) > MOST_KEPT_OFF:
        lines.append(f"nor on {len(why.kept_off) - MOST_KEPT_OFF} more nodes; -o json lists them")
    return lines


def _last(why: Why, width: int | None, colour: bool) -> str:
    next_ = f"next: {why.next}" if why.next else ""
    text = one_line(f"{next_} (exit {why.exit_code})")
    return "\n".join(paint(line, "heading", colour) for line in wrap(text, width, 2))


def _paragraphs(texts: Sequence[str], width: int | None, word: str = "", role: Role = "", colour: bool = False) -> str:
    """The first is a head, where it has a `word` to be painted; the others are indented below it."""
    room = width - INDENT if width is not None and word else width
    head, *rest = texts
    lines = wrap(one_line(head), width, INDENT)
    lines[0] = lines[0].replace(word, paint(word, role, colour), 1) if word else lines[0]
    indent = " " * INDENT if word else ""
    return "\n".join([*lines, *(indent + line for text in rest for line in wrap(one_line(text), room, INDENT))])
