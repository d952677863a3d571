"""Strings that others wrote (node names, messages, labels) made safe to print: one line, no control codes, bounded."""

from __future__ import annotations

import re
import unicodedata

from gpuready.model.redact import redact

MAX_CHARS = 1000  # of one string from outside on one line; a megabyte of message must not bury the rest

# Cc, Cf: terminal control and bidirectional overrides; Cs, Co, Cn: no agreed glyph; Zl, Zp: line breaks
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
JOINTS = "/-,.:@=_"  # after these a long word may be broken
_BREAKS = re.compile(r"[\t\n\r]+")


def one_line(text: str, limit: int = MAX_CHARS) -> str:
    """`text` without secrets, on one line, with every unprintable character written as an escape such as \\x1b."""
    flat = _BREAKS.sub(" ", redact(text)).strip()
    if len(flat) > limit:
        flat = f"{flat[:limit]}... ({len(flat) - limit} more characters)"
    return escaped(flat)


def escaped(text: str) -> str:
    """Every character that a terminal could obey, hide or reorder, written as \\xNN, \\uNNNN or \\UNNNNNNNN."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if unicodedata.category(c) in _UNPRINTABLE else c for c in text)


def _escape(char: str) -> str:
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def cells(text: str) -> int:
    """Columns that `text` takes on a terminal: wide characters two, combining marks none."""
    if text.isascii():
        return len(text)
    return sum(_char_cells(c) for c in text)


def _char_cells(char: str) -> int:
    if unicodedata.category(char) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def cut(text: str, width: int | None) -> str:
    """At most `width` columns of `text`; what was cut off is told by three dots, where they fit."""
    if width is None or cells(text) <= width:
        return text
    dots = "..." if width > 3 else ""
    return _head(text, width - len(dots)) + dots


def _head(text: str, width: int) -> str:
    used, end = 0, 0
    for char in text:
        used += _char_cells(char)
        if used > width:
            break
        end += 1
    return text[:end]


def wrap(text: str, width: int | None, hang: int = 0) -> list[str]:
    """Lines of at most `width` columns (None: one line); later lines are indented by `hang`.

    A word too long for a line begins on the one before, up to a slash, and breaks after one of / - , . : @ = _.
    """
    if width is None:
        return [text]
    hang = hang if width > 2 * hang else 0
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        room = width - (hang if lines else 0)
        if line and cells(line) + 1 + cells(word) > room:
            kind, slash, name = word.partition("/")
            if kind and name and cells(word) > width - hang and cells(f"{line} {kind}/") <= room:
                line, word = f"{line} {kind}{slash}", name
            lines.append(line)
            line = ""
        line = f"{line} {word}" if line else word
        *full, line = _pieces(line, width, hang if lines else 0, hang)
        lines += full
    lines.append(line)
    return [lines[0].rstrip(), *((" " * hang + rest).rstrip() for rest in lines[1:])]


def _pieces(word: str, width: int, first: int, later: int) -> list[str]:
    """`word` cut into pieces that fit beside the indents, at the last joint that does; at least one character each."""
    out: list[str] = []
    room = max(1, width - first)
    while cells(word) > room:
        head = _head(word, room) or word[0]
        joint = max(head.rfind(c) for c in JOINTS) + 1
        end = joint if joint > 1 else len(head)
        out.append(word[:end])
        word = word[end:]
        room = max(1, width - later)
    return [*out, word]
