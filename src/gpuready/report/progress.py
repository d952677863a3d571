"""The live view of apply: one line an event. Printing, and overwriting a line on a terminal, is the caller's."""

from __future__ import annotations

import re
from typing import Literal

from gpuready.report.colour import Role, paint
from gpuready.report.escape import cut, one_line, wrap

Kind = Literal["start", "wait", "note", "done", "fail"]
HANG = 8  # columns
_JUST_SECONDS = re.compile(r"^\d+(\.\d+)? s$")
_ROLES: dict[str, Role] = {"done": "ok", "fail": "fail", "wait": "", "note": "", "start": ""}


def progress_line(
    kind: Kind,
    verb: str,
    target: str,
    *,
    number: int = 0,
    total: int = 0,
    text: str = "",
    elapsed: float | None = None,
    width: int | None = None,
    colour: bool = False,
) -> str:
    """`[ 3/12] create ds/gpuready-agent ... done 0.2 s`. `elapsed` in seconds; without `total` the count is left out.

    With `width`, lines that will be overwritten (start, wait) are cut to it; what stays on the screen is wrapped.
    """
    head = f"{_count(number, total)}{one_line(f'{verb} {target}')}"
    if kind == "note":
        return "\n".join(wrap(f"{head}: {one_line(text)}", width, HANG))
    tail = _tail(kind, one_line(text), elapsed)
    if width is not None and kind in ("start", "wait"):
        return cut(f"{head} ...{tail and ' '}{tail}", width)
    first, *rest = wrap(f"{head} ...{tail and ' '}{tail}", width, HANG)
    at = len(head) + 5 if first.startswith(f"{head} ... ") else len(first)
    return "\n".join([first[:at] + paint(first[at:], _ROLES[kind], colour), *rest])


def _count(number: int, total: int) -> str:
    return f"[{number:>{len(str(total))}}/{total}] " if total else ""


def _tail(kind: Kind, text: str, elapsed: float | None) -> str:
    took = "" if elapsed is None else f" {elapsed:.1f} s"
    if kind == "start":
        return ""
    word = {"done": "done", "wait": "waiting", "fail": "FAILED"}[kind]
    if _JUST_SECONDS.match(text):
        return f"{word} {text}"
    return f"{word}{took}{f': {text}' if text else ''}"
