"""A small theme that is readable on dark and on light terminals, and when to use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Role = Literal["", "ok", "warn", "fail", "unknown", "ask", "heading", "command"]

# Only colours that keep their contrast on black and on white: no yellow (white), no blue (black), nothing dim.
SGR: Mapping[Role, str] = {
    "ok": "32",
    "warn": "35",
    "fail": "1;31",
    "unknown": "1;35",
    "ask": "1;36",
    "heading": "1",
    "command": "36",
}


def paint(text: str, role: Role, on: bool) -> str:
    """`text` in the colour of `role`; unchanged when colour is off or there is nothing to paint."""
    return f"\x1b[{SGR[role]}m{text}\x1b[0m" if on and role and text else text


def colour_wanted(*, tty: bool, env: Mapping[str, str], no_color: bool = False) -> bool:
    """Colour only on a terminal that can, unless --no-color or a non-empty NO_COLOR (no-color.org) says otherwise."""
    return tty and not no_color and not env.get("NO_COLOR") and env.get("TERM", "") not in ("", "dumb")
