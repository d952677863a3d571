"""`gpuready explain` as text: one rule in full, or all of them by the link of the chain at which they stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gpuready.model.explanation import Explanation
from gpuready.model.rule import Rule
from gpuready.report.colour import paint
from gpuready.report.escape import one_line, wrap
from gpuready.report.table import Column, Heading, table

INDENT = 15
LONGEST = 4000  # characters of one entry


def explain_text(one: Explanation, *, width: int | None = 80, colour: bool = False) -> str:
    """A head and a line for each thing that is known of the rule."""
    first, *more = wrap(f"{one.id}  {one_line(one.title)}", width, 2)
    head = [paint(one.id, "heading", colour) + first[len(one.id) :], *more]
    rows = (
        ("means", one.means),
        ("is", f"{one.effect}{f'; link of the chain: {one.link}' if one.link else ''}"),
        *(("looks at", fact) for fact in one.looks_at),
        ("follows from", ", ".join(one.follows_from)),
        ("leads to", ", ".join(one.leads_to)),
        ("next", one.next or ("each finding names its own" if one.layer == "diagnose" else "")),
        ("mended by", f"gpuready doctor --fix {one.id}: {one.remedy}" if one.remedy else ""),
        ("by hand", one.by_hand),
        *(("sign", sign) for sign in one.signs),
        *(("source", source) for source in one.sources),
    )
    return "\n".join([*head, *(line for name, text in rows if text for line in _row(name, text, width))])


def _row(name: str, text: str, width: int | None) -> list[str]:
    first, *rest = wrap(one_line(text, LONGEST), None if width is None else width - INDENT)
    return [f"  {name:{INDENT - 2}}{first}", *(" " * INDENT + line for line in rest)]


def list_text(rules: Mapping[str, Sequence[Rule]], *, width: int | None = 80, colour: bool = False) -> str:
    """`rules`: by link or layer, in the order in which they are shown."""
    rows: list[list[str] | Heading] = []
    for link, of in rules.items():
        rows.append(Heading(f"-- {link}"))
        rows += [[rule.id, rule.title] for rule in of]
    text = table((Column("RULE"), Column("WHAT", "wrap", 20)), rows, width, colour)
    return f"{text}\n\n" + "\n".join(wrap("gpuready explain ID tells more of one", width))
