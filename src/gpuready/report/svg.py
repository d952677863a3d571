"""A recording of a terminal as an SVG picture, readable on light and on dark pages. Same text, same bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.sax.saxutils import escape

from gpuready.model.redact import redact
from gpuready.report.colour import SGR, Role
from gpuready.report.escape import cells, escaped

SIZE, CELL, LINE, PAD = 14, 8.4, 20, 18  # pixels: font size, width of a column, height of a line, border
FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
# role -> colour on the light card, on the dark card; each at least 4.5:1 against its card
PALETTE: dict[str, tuple[str, str]] = {
    "card": ("#f6f8fa", "#161b22"),
    "edge": ("#d0d7de", "#30363d"),
    "text": ("#24292f", "#d1d7e0"),
    "ok": ("#116329", "#56d364"),
    "warn": ("#8250df", "#d2a8ff"),
    "fail": ("#b3261e", "#ff7b72"),
    "unknown": ("#8250df", "#d2a8ff"),
    "ask": ("#0a5b83", "#76e3ea"),
    "command": ("#0a5b83", "#76e3ea"),
}
BOLD = ("heading", "fail", "unknown", "ask", "prompt")
_MARK = re.compile(r"\x1b\[([0-9;]*)m")
_OTHER_CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]")  # cursor moves and the like: all but colours
_GAPS = re.compile(r"( {2,})")
_ROLE_OF: dict[str, Role] = {code: role for role, code in SGR.items()}


def svg(text: str, *, title: str, description: str, columns: int = 80) -> str:
    """The picture of `text`, `columns` wide or as wide as its longest line.

    Role marks are the colour codes that `paint` writes. A line that begins with `$ ` is a command that was typed.
    Of what was overwritten with a carriage return the last state is shown.
    """
    lines = [list(_runs(line)) for line in redact(text).rstrip("\n").split("\n")]
    widest = max(columns, *(sum(cells(t) for t, _ in runs) for runs in lines))
    width, height = round(widest * CELL + 2 * PAD), len(lines) * LINE + 2 * PAD
    body = "\n".join(row for n, runs in enumerate(lines) for row in _row(n, runs))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        f' font-family="{FONT}" font-size="{SIZE}" role="img" aria-labelledby="title description">\n'
        f'<title id="title">{_xml(title)}</title>\n<desc id="description">{_xml(description)}</desc>\n'
        f"<style>\n{_style()}</style>\n"
        f'<rect class="card" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>\n{body}\n</svg>\n'
    )


def _runs(line: str) -> Iterator[tuple[str, str]]:
    """(text, role) of the line as it was left on the screen."""
    line = _OTHER_CODES.sub("", line.rstrip("\r").rpartition("\r")[2]).rstrip()
    if line.startswith("$ "):
        yield escaped(_MARK.sub("", line)), "prompt"
        return
    role = ""
    for i, part in enumerate(_MARK.split(line)):
        if i % 2:
            role = _ROLE_OF.get(part, "")
        elif part:
            yield escaped(part), role


def _row(number: int, runs: list[tuple[str, str]]) -> Iterator[str]:
    """One element for each text between wide gaps, placed and its length set: columns stay aligned in any font."""
    y = PAD + number * LINE + SIZE
    at = 0
    for run, role in runs:
        mark = f' class="{role}"' if role else ""
        for text in _GAPS.split(run):
            bare = text.strip(" ")
            if bare:
                x = PAD + (at + len(text) - len(text.lstrip(" "))) * CELL
                yield f'<text{mark} x="{x:.1f}" y="{y}" textLength="{cells(bare) * CELL:.1f}">{_xml(bare)}</text>'
            at += cells(text)


def _style() -> str:
    bold = ",".join(f".{role}" for role in BOLD)
    return f"{bold}{{font-weight:700}}\n{_colours(0)}@media (prefers-color-scheme:dark){{\n{_colours(1)}}}\n"


def _colours(scheme: int) -> str:
    special = {"card", "edge", "text"}
    rules = [f".card{{fill:{PALETTE['card'][scheme]};stroke:{PALETTE['edge'][scheme]}}}"]
    rules.append(f"text{{fill:{PALETTE['text'][scheme]}}}")
    rules += [f".{role}{{fill:{pair[scheme]}}}" for role, pair in PALETTE.items() if role not in special]
    return "\n".join(rules) + "\n"


def _xml(text: str) -> str:
    return escape(escaped(text))
