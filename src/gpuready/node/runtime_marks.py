"""Pieces of a runtime's configuration files that are ours: how they are written, and how they are found again. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

BARE = re.compile(r"[A-Za-z0-9_-]+")


def own_text(body: str) -> str:
    """With a first line by which it is known later whether somebody has changed it."""
    return f"# written by gpuready, taken out by its undo; unchanged while its sum is {_sum(body)}\n{body}"


def is_ours(text: str) -> bool:
    first, _, body = text.partition("\n")
    return first == own_text(body).partition("\n")[0]


def _sum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def block_of(text: str, handler: str) -> re.Match[str] | None:
    name = re.escape(handler)
    begin, end = f"# gpuready begin {name}", f"# gpuready end {name}\n"
    pattern = f"(?:(?:^|(?<=\n)){begin}\n|\n{begin}, on a new line\n)(?P<body>.*?){end}"
    return re.search(pattern, text, re.DOTALL)


def insert_member(text: str, at: int, member: str, more: bool) -> str:
    return f"{text[:at]}{member}{', ' if more else ''}{text[at:]}"


def offset_inside(text: str, name: str) -> int:
    """Offset after the opening brace of the object that is the member `name` of the outermost object."""
    decoder, at = json.JSONDecoder(), text.index("{") + 1
    while True:
        key, at = decoder.raw_decode(text, text.index('"', at))
        at = text.index(":", at) + 1
        at += len(text[at:]) - len(text[at:].lstrip())
        if key == name:
            return at + 1
        _, at = decoder.raw_decode(text, at)


def toml(path: list[str], values: Mapping[str, Any]) -> Iterator[str]:
    """One table and those below it."""
    yield f"[{'.'.join(key if BARE.fullmatch(key) else _value(key) for key in path)}]\n"
    for key, value in values.items():
        if not isinstance(value, dict):
            yield f"{key if BARE.fullmatch(key) else _value(key)} = {_value(value)}\n"
    for key, value in values.items():
        if isinstance(value, dict):
            yield from toml([*path, key], value)


def _value(value: Any) -> str:
    """A TOML value. JSON's strings, numbers and booleans are TOML's too, but for U+007F, which TOML escapes."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{_value(k)} = {_value(v)}' for k, v in value.items())}}}"
    return json.dumps(value, ensure_ascii=False, default=str).replace("\x7f", "\\u007f")
