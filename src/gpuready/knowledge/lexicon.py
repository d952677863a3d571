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
from typing import NamedTuple

import msgspec

from gpuready.knowledge._files import load

BETWEEN = r"[\W_]+"
GAP = r"(?:[\W_]+\w+){0,8}?"
_RUN = re.compile(r"[a-z0-9]+")
LONGEST = 2000  # characters of a line that are looked at
REMEMBERED = 1 << 15  # lines, words; logs repeat themselves
NONE: frozenset[str] = frozenset()


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
    signs_in.cache_clear()
    return _SIGNS[text]


@lru_cache(REMEMBERED)
def signs_in(line: str) -> frozenset[str]:
    """Every sign that the line has, of all that were written; `line` in lower case, see `plain`."""
    index = _index(len(_SIGNS))
    words = frozenset(_RUN.findall(line))
    told = index.anywhere.union(*map(index.by_word.__getitem__, words))
    tried: dict[str, bool] = {}  # each term once

    def has(term: str) -> bool:
        if term not in tried:
            tried[term] = _possible(term, words, line) and _pattern(term).search(line) is not None
        return tried[term]

    signs = (one for term in told & index.by_term.keys() for one in index.by_term[term] if told.issuperset(one.wanted))
    return frozenset(one.text for one in signs if all(map(has, one.wanted)) and not any(map(has, one.unwanted)))


def _possible(term: str, words: frozenset[str], line: str) -> bool:
    """Whether all that the term cannot do without is there, in whatever order: far cheaper than its pattern."""
    whole, parts, meanings = _needs(term)
    return (
        whole <= words
        and all(part in line for part in parts)
        and all(any(_possible(spelling, words, line) for spelling in _meanings()[meaning]) for meaning in meanings)
    )


class Words(dict[str, frozenset[str]]):
    """Word of a line -> the terms that the line must then be tried for."""

    def __init__(self, whole: Mapping[str, frozenset[str]], parts: Mapping[str, frozenset[str]]) -> None:
        super().__init__()
        self._whole, self._parts = whole, parts
        self._any_part = re.compile("|".join(map(re.escape, sorted(parts))) or "(?!)")

    def __missing__(self, word: str) -> frozenset[str]:
        terms = self._whole.get(word, NONE)
        if self._any_part.search(word):
            terms = terms.union(*(of for part, of in self._parts.items() if part in word))
        if len(self) < REMEMBERED:
            self[word] = terms
        return terms


class Index(msgspec.Struct, frozen=True):
    by_word: Words
    anywhere: frozenset[str]  # terms that no word of a line calls for
    by_term: Mapping[str, list[Sign]]  # heaviest term -> signs


@lru_cache(1)
def _index(known: int) -> Index:
    whole: dict[str, frozenset[str]] = {}
    parts: dict[str, frozenset[str]] = {}
    by_term: dict[str, list[Sign]] = {}
    signs = list(_SIGNS.values())[:known]
    terms = {term for one in signs for term in one.wanted}
    common = Counter(word for term in terms for word in _needs(term).words)
    for term in terms:
        for anchor, is_whole in _anchors(term, common):
            of = whole if is_whole else parts
            of[anchor] = of.get(anchor, NONE) | {term}
    for one in signs:
        by_term.setdefault(max(one.wanted, key=_weight), []).append(one)
    anywhere = NONE.union(*(parts.pop(part) for part in list(parts) if len(part) < 2))
    return Index(Words(whole, parts), anywhere, by_term)


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
    needs = _needs(term)
    if needs.words:
        yield min(needs.words, key=lambda word: (common.get(word, 0), -len(word), word)), True
    elif needs.parts or not needs.meanings:
        yield max(needs.parts, key=len, default=""), False
    else:
        for spelling in _meanings()[needs.meanings[0]]:
            yield from _anchors(spelling, common)


class Needs(NamedTuple):
    """What a term cannot do without: words of its own, parts of words, meanings."""

    words: frozenset[str]
    parts: tuple[str, ...]
    meanings: tuple[str, ...]


@cache
def _needs(term: str) -> Needs:
    runs = [run for word in _words(term) for run in _runs(word)]
    meanings = tuple(match[1] for match in _PIECE.finditer(term) if match[1] is not None)
    return Needs(frozenset(r for r, whole in runs if whole), tuple(r for r, whole in runs if not whole), meanings)


def _words(term: str) -> list[str]:
    return [match[2] for match in _PIECE.finditer(term) if match[2] and match[2] != ".."]


def _runs(word: str) -> Iterator[tuple[str, bool]]:
    """Runs of letters and digits in a word. One beside a star or an optional hyphen may be part of a longer one."""
    word = word.lower()
    for match in _RUN.finditer(word):
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
