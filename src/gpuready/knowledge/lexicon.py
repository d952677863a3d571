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

There are thousands of signs and of lines. A term is tried only on lines that have a word which it cannot do without: a
line costs what it means, not how many signs there are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache

import msgspec

from gpuready.knowledge._files import load

BETWEEN = r"[\W_]+"
GAP = r"(?:[\W_]+\w+){0,8}?"
LONGEST = 2000  # characters of a line that are looked at
REMEMBERED = 1 << 15  # lines; logs repeat themselves


class Lexicon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    things: Mapping[str, tuple[str, ...]]
    errors: Mapping[str, tuple[str, ...]]


class Sign(msgspec.Struct, frozen=True):
    """`wanted` and `unwanted` are terms. `weight`: how much it says; a word of its own counts one, a meaning a half."""

    text: str
    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]
    weight: float

    def matches(self, line: str) -> bool:
        """`line` in lower case, see `plain`."""
        return self.text in signs_in(line)


_SIGNS: dict[str, Sign] = {}  # every sign that was ever written


def plain(line: str) -> str:
    """What signs are held against: lower case, of bounded length."""
    return line[:LONGEST].lower()


def sign(text: str) -> Sign:
    """Raises ValueError for a sign that is empty or names a meaning that the lexicon does not have."""
    if text in _SIGNS:
        return _SIGNS[text]
    terms = [term.strip() for term in text.split("&")]
    wanted = tuple(t for t in terms if not t.startswith("!"))
    unwanted = tuple(t[1:].strip() for t in terms if t.startswith("!"))
    if not wanted or not all([*wanted, *unwanted]):
        raise ValueError(f"no sign: {text!r}")
    for meaning in re.findall(r"\{([^}]*)\}", text):
        if meaning not in _meanings():
            raise ValueError(f"the lexicon has no {meaning!r}")
    _SIGNS[text] = Sign(text, wanted, unwanted, sum(_weight(t) for t in wanted))
    return _SIGNS[text]


def means(line: str, meaning: str) -> bool:
    """Whether the line has the meaning: means("... no such file ...", "absent")."""
    return sign("{" + meaning + "}").matches(plain(line))


def signs_in(line: str) -> frozenset[str]:
    """Every sign that the line has, of all that were written; `line` in lower case, see `plain`."""
    return _signs_in(line, len(_SIGNS))


@lru_cache(REMEMBERED)
def _signs_in(line: str, known: int) -> frozenset[str]:
    index = _index(known)
    words = set(re.findall(r"[a-z0-9]+", line))
    tried = {term for word in words & index.by_word.keys() for term in index.by_word[word]}
    tried.update(term for part, terms in index.by_part.items() if part in line for term in terms)
    found = {term for term in tried if _needs(term) <= words and _pattern(term).search(line)}
    candidates = {text for term in found & index.by_term.keys() for text in index.by_term[term]}
    return frozenset(
        text for text in candidates if found.issuperset(_SIGNS[text].wanted) and found.isdisjoint(_SIGNS[text].unwanted)
    )


class Index(msgspec.Struct, frozen=True):
    """Which terms a line must be tried for, and which signs a term stands for."""

    by_word: Mapping[str, set[str]]  # a word that the term cannot do without
    by_part: Mapping[str, set[str]]  # or a part of one; "" where there is none
    by_term: Mapping[str, set[str]]


@lru_cache(1)
def _index(known: int) -> Index:
    by_word: dict[str, set[str]] = {}
    by_part: dict[str, set[str]] = {}
    by_term: dict[str, set[str]] = {}
    signs = list(_SIGNS.values())[:known]
    terms = {term for one in signs for term in (*one.wanted, *one.unwanted)}
    common = Counter(word for term in terms for word in _needs(term))
    for term in terms:
        for anchor, whole in _anchors(term, common):
            (by_word if whole else by_part).setdefault(anchor, set()).add(term)
    for one in signs:
        by_term.setdefault(max(one.wanted, key=_weight), set()).add(one.text)
    return Index(by_word, by_part, by_term)


@cache
def _meanings() -> Mapping[str, tuple[str, ...]]:
    data = load("lexicon.yaml", Lexicon)
    both = data.things.keys() & data.errors.keys()
    if both:
        raise ValueError(f"twice in the lexicon: {', '.join(sorted(both))}")
    return {**data.things, **data.errors}


_PIECE = re.compile(r"\{([^}]*)\}|(\S+)")


def _anchors(term: str, common: Mapping[str, int]) -> Iterator[tuple[str, bool]]:
    """Of these the line must have at least one; each with whether it is a word of its own. The rarest is chosen."""
    if needs := _needs(term):
        yield min(needs, key=lambda word: (common.get(word, 0), -len(word), word)), True
        return
    runs = [run for word in _words(term) for run, _ in _runs(word)]
    meanings = [match[1] for match in _PIECE.finditer(term) if match[1] is not None]
    if runs or not meanings:
        yield max(runs, key=len, default=""), False
        return
    for spelling in _meanings()[meanings[0]]:
        yield from _anchors(spelling, common)


@cache
def _needs(term: str) -> frozenset[str]:
    """The words of its own that a line must have."""
    return frozenset(run for word in _words(term) for run, whole in _runs(word) if whole)


def _words(term: str) -> list[str]:
    return [match[2] for match in _PIECE.finditer(term) if match[2] and match[2] != ".."]


def _runs(word: str) -> Iterator[tuple[str, bool]]:
    """Runs of letters and digits in a word. One beside a star or an optional hyphen may be part of a longer one."""
    word = word.lower()
    for match in re.finditer(r"[a-z0-9]+", word):
        beside = word[max(0, match.start() - 1) : match.start()] + word[match.end() : match.end() + 1]
        yield match[0], not set(beside) & set("-_*")


@cache
def _pattern(term: str) -> re.Pattern[str]:
    return re.compile(r"(?<![a-z0-9])" + _sequence(term) + r"(?![a-z0-9])")


def _sequence(term: str) -> str:
    out = ""
    for match in _PIECE.finditer(term):
        meaning, word = match.groups()
        if word == "..":
            out += GAP
            continue
        out += (BETWEEN if out else "") + (_either(meaning) if meaning is not None else _word(word))
    return out


@cache
def _either(meaning: str) -> str:
    return "(?:" + "|".join(_sequence(s) for s in _meanings()[meaning]) + ")"


def _word(word: str) -> str:
    """Hyphens and underscores in a word may be written otherwise or left out."""
    if word == "*":
        return r"\S+"
    parts = re.split(r"([-_*])", word.lower())
    return "".join(r"[\W_]*" if p in ("-", "_") else r"\S*" if p == "*" else re.escape(p) for p in parts)


def _weight(term: str) -> float:
    return sum(0.5 if m[1] is not None else 0.0 if m[2] in ("..", "*") else 1.0 for m in _PIECE.finditer(term))
