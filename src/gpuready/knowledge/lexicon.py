"""Says whether a line of a log means something, not whether it is spelt so.

A sign is written in words: `{kernel headers} & {absent}`.

| written | matches |
|---|---|
| `no runtime for` | these words in this order, whatever stands between as punctuation, in any case |
| `..` | up to eight words |
| `*` | one word; within a word any characters: `linux-headers-*` |
| `{absent}` | any of the spellings that lexicon.yaml has for it |
| `a & b` | both, anywhere in the line |
| `a & !b` | the one and not the other |
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache

import msgspec

from gpuready.knowledge._files import load

BETWEEN = r"[\W_]+"
GAP = r"(?:[\W_]+\w+){0,8}?"
LONGEST = 2000  # characters of a line that are looked at


class Lexicon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    things: Mapping[str, tuple[str, ...]]
    errors: Mapping[str, tuple[str, ...]]


class Sign(msgspec.Struct, frozen=True):
    """`weight`: how much it says; a word of its own counts one, a meaning a half."""

    text: str
    wanted: tuple[re.Pattern[str], ...]
    unwanted: tuple[re.Pattern[str], ...]
    weight: float

    def matches(self, line: str) -> bool:
        """`line` in lower case, see `plain`."""
        return all(p.search(line) for p in self.wanted) and not any(p.search(line) for p in self.unwanted)


def plain(line: str) -> str:
    """What signs are held against: lower case, of bounded length."""
    return line[:LONGEST].lower()


@cache
def sign(text: str) -> Sign:
    """Raises ValueError for a sign that is empty or names a meaning that the lexicon does not have."""
    terms = [term.strip() for term in text.split("&")]
    wanted = [t for t in terms if not t.startswith("!")]
    unwanted = [t[1:].strip() for t in terms if t.startswith("!")]
    if not wanted or not all([*wanted, *unwanted]):
        raise ValueError(f"no sign: {text!r}")
    return Sign(
        text,
        tuple(re.compile(_term(t)) for t in wanted),
        tuple(re.compile(_term(t)) for t in unwanted),
        sum(_weight(t) for t in wanted),
    )


def means(line: str, meaning: str) -> bool:
    """Whether the line has the meaning: means("... no such file ...", "absent")."""
    return sign("{" + meaning + "}").matches(plain(line))


@cache
def _meanings() -> Mapping[str, tuple[str, ...]]:
    data = load("lexicon.yaml", Lexicon)
    both = data.things.keys() & data.errors.keys()
    if both:
        raise ValueError(f"twice in the lexicon: {', '.join(sorted(both))}")
    return {**data.things, **data.errors}


_PIECE = re.compile(r"\{([^}]*)\}|(\S+)")


def _term(term: str) -> str:
    return r"(?<![a-z0-9])" + _sequence(term) + r"(?![a-z0-9])"


def _sequence(term: str) -> str:
    out = ""
    for match in _PIECE.finditer(term):
        meaning, word = match.groups()
        if word == "..":
            out += GAP
            continue
        out += (BETWEEN if out else "") + (_either(meaning) if meaning is not None else _word(word))
    return out


def _either(meaning: str) -> str:
    spellings: Iterable[str] | None = _meanings().get(meaning)
    if spellings is None:
        raise ValueError(f"the lexicon has no {meaning!r}")
    return "(?:" + "|".join(_sequence(s) for s in spellings) + ")"


def _word(word: str) -> str:
    """Hyphens and underscores in a word may be written otherwise or left out."""
    if word == "*":
        return r"\S+"
    parts = re.split(r"([-_*])", word.lower())
    return "".join(r"[\W_]*" if p in ("-", "_") else r"\S*" if p == "*" else re.escape(p) for p in parts)


def _weight(term: str) -> float:
    return sum(0.5 if m[1] is not None else 0.0 if m[2] in ("..", "*") else 1.0 for m in _PIECE.finditer(term))
