"""Aligned columns that fit the width they are given."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import pairwise, permutations
from typing import NamedTuple

from gpuready.report.colour import Role, paint
from gpuready.report.escape import JOINTS, cells, cut, one_line, wrap

GAP = "  "


class Cell(NamedTuple):
    text: str
    role: Role = ""


class Column(NamedTuple):
    title: str
    fit: str = "keep"  # keep: never narrower than its text; wrap: onto more lines; cut: ends in three dots
    least: int = 12  # columns below which it is not shrunk
    hang: int = 0  # indent of wrapped lines


class Heading(NamedTuple):
    """A row that runs across all columns."""

    text: str
    role: Role = "heading"


Row = Sequence[str | Cell] | Heading


def table(columns: Sequence[Column], rows: Sequence[Row], width: int | None = 80, colour: bool = False) -> str:
    """Lines joined by newlines, no blanks at their ends; columns at the right that are empty in all rows are left out.

    The last cell of a row that has fewer cells than there are columns runs on to the right edge.
    Texts are redacted, escaped and brought onto one line here. `width` None: no limit (for pipes).
    """
    clean = [r if isinstance(r, Heading) else [_clean(c) for c in r] for r in rows]
    body = [r for r in clean if not isinstance(r, Heading)]
    used = max((i + 1 for r in body for i, c in enumerate(r) if c.text), default=len(columns))
    shown = columns[:used]
    widths = _fit(shown, body, width)
    out = _lines([Cell(c.title, "heading") for c in shown], shown, widths, width, colour)
    for row in clean:
        if isinstance(row, Heading):
            out += [paint(line, row.role, colour) for line in wrap(one_line(row.text), width)]
        else:
            out += _lines(row[:used], shown, widths, width, colour)
    return "\n".join(out)


def paragraph(text: str, width: int | None = 80, hang: int = 0) -> str:
    """One cleaned text, wrapped to `width`."""
    return "\n".join(wrap(one_line(text), width, hang))


def _clean(cell: str | Cell) -> Cell:
    return Cell(one_line(cell.text), cell.role) if isinstance(cell, Cell) else Cell(one_line(cell))


def _fit(columns: Sequence[Column], rows: Sequence[Sequence[Cell]], width: int | None) -> list[int]:
    """Natural widths; where they are too wide the widest give way, then columns trade room while that saves lines."""
    texts = [[r[i].text if _counts(r, i, len(columns)) else "" for r in rows] for i in range(len(columns))]
    natural = [max(map(cells, (c.title, *column))) for c, column in zip(columns, texts, strict=True)]
    if width is None:
        return natural
    floor = [w if c.fit == "keep" else max(cells(c.title), c.least) for c, w in zip(columns, natural, strict=True)]
    widths = list(natural)
    for _ in range(sum(natural) + len(GAP) * (len(columns) - 1) - width):
        spare = [(w, i) for i, w in enumerate(widths) if w > floor[i]]
        if not spare:
            break
        widths[max(spare)[1]] -= 1
    return widths if widths == natural else _trade(columns, texts, widths, natural, floor)


def _counts(row: Sequence[Cell], i: int, columns: int) -> bool:
    """Whether cell `i` of the row takes part in the width of its column: it is there and does not run on."""
    return i < len(row) and (i < len(row) - 1 or len(row) == columns)


def _trade(
    columns: Sequence[Column], texts: Sequence[Sequence[str]], widths: list[int], natural: list[int], floor: list[int]
) -> list[int]:
    """The best move of room from one column to another, again and again, until none saves a line."""

    @cache
    def heights(i: int, width: int) -> list[int]:
        return [_height(t, columns[i], width) if len(t) > width // 2 else 1 for t in texts[i]]

    def cost(tried: list[int]) -> tuple[int, int]:
        stacks = [heights(i, w) for i, w in enumerate(tried)]
        return sum(map(max, zip(*stacks, strict=True))), sum(map(sum, stacks))

    best = cost(widths)
    while True:
        tries = [
            [w + by if i == to else w - by if i == of else w for i, w in enumerate(widths)]
            for to, of in permutations(range(len(widths)), 2)
            for by in range(1, min(natural[to] - widths[to], widths[of] - floor[of]) + 1)
        ]
        found, tried = min(((cost(t), t) for t in tries), default=(best, widths))
        if found >= best:
            return widths
        best, widths = found, tried


def _height(text: str, column: Column, width: int) -> int:
    """Lines that the text takes; a word that breaks where it has no joint counts as five more."""
    lines = _stack(text, column, width)
    return len(lines) + 5 * sum(1 for a, b in pairwise(lines) if _torn(a.strip(), b.strip(), text))


def _torn(line: str, following: str, text: str) -> bool:
    return line[-1:] not in JOINTS and f"{line} {following}" not in text


def _lines(
    row: Sequence[Cell], columns: Sequence[Column], widths: Sequence[int], width: int | None, colour: bool
) -> list[str]:
    room: list[int | None] = [*widths[: len(row)]]
    if len(row) < len(columns):
        before = sum(widths[: len(row) - 1]) + len(GAP) * (len(row) - 1)
        room[-1] = None if width is None else max(width - before, columns[len(row) - 1].least)
    stacks = [_stack(cell.text, c, w) for cell, c, w in zip(row, columns, room, strict=False)]
    out = []
    for level in range(max(map(len, stacks))):
        texts = [s[level] if level < len(s) else "" for s in stacks]
        last = max((i for i, t in enumerate(texts) if t), default=0)
        line = ""
        for i, text in enumerate(texts[: last + 1]):
            pad = "" if i == last else " " * (widths[i] - cells(text)) + GAP
            line += paint(text, row[i].role, colour) + pad
        out.append(line)
    return out


def _stack(text: str, column: Column, width: int | None) -> list[str]:
    if width is None or cells(text) <= width:
        return [text]
    return [cut(text, width)] if column.fit == "cut" else wrap(text, width, column.hang)
