"""Aligned columns that fit the width they are given."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
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
    """Natural widths; then, a column at a time, what costs the fewest lines gives way, of equals the widest."""
    texts = [[r[i].text if _counts(r, i, len(columns)) else "" for r in rows] for i in range(len(columns))]
    widths = [max(map(cells, (c.title, *column))) for c, column in zip(columns, texts, strict=True)]
    if width is None:
        return widths
    floor = [w if c.fit == "keep" else max(cells(c.title), c.least) for c, w in zip(columns, widths, strict=True)]
    excess = sum(widths) + len(GAP) * (len(columns) - 1) - width
    heights = [_heights(t, c, w) for t, c, w in zip(texts, columns, widths, strict=True)]
    for _ in range(excess):
        options = []
        for i in (i for i, w in enumerate(widths) if w > floor[i]):
            tried = _heights(texts[i], columns[i], widths[i] - 1)
            lines = sum(map(max, zip(*heights[:i], tried, *heights[i + 1 :], strict=True)))
            options.append((lines, sum(tried) - sum(heights[i]), -widths[i], i, tried))
        if not options:
            break
        *_, best, tried = min(options)
        widths[best] -= 1
        heights[best] = tried
    return widths


def _counts(row: Sequence[Cell], i: int, columns: int) -> bool:
    """Whether cell `i` of the row takes part in the width of its column: it is there and does not run on."""
    return i < len(row) and (i < len(row) - 1 or len(row) == columns)


def _heights(texts: Sequence[str], column: Column, width: int) -> list[int]:
    """Lines that each text takes; a word that breaks where it has no joint counts as five more."""
    return [_height(t, column, width) if len(t) > width // 2 else 1 for t in texts]


def _height(text: str, column: Column, width: int) -> int:
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
