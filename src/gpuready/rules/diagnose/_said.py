"""Rules over what components said: a cause is known by the meaning of a line, and by who said it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from gpuready.knowledge.lexicon import Sign, plain, sign, signs_in
from gpuready.knowledge.speakers import families
from gpuready.model.facts.said import Line, Said
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import known

SHOWN = 4  # lines quoted as evidence of one finding


def said_rule(
    id: str,
    link: str,
    title: str,
    *,
    signs: tuple[str, ...],
    next: str,
    who: tuple[str, ...] = (),
    symptom: bool = False,
    because: tuple[str, ...] = (),
) -> Rule:
    """A rule that finds its cause where a line has one of the signs (knowledge/lexicon.py).

    `who`: families of speakers whose lines count; a line whose speaker is not told counts always.
    """
    if strangers := set(who) - families():
        raise ValueError(f"{id}: no such speakers: {', '.join(sorted(strangers))}")
    compiled = tuple(sign(text) for text in signs)
    return Rule(
        id,
        "diagnose",
        "fail",
        title,
        finder(title, compiled, next, frozenset(who)),
        link=link,
        symptom=symptom,
        because=because,
        signs=signs,
        next=next,
    )


def finder(
    says: str, signs: tuple[Sign, ...], next_: str, who: frozenset[str] = frozenset()
) -> Callable[[Said], Iterator[Finding]]:
    """One finding for each object that was spoken about."""

    def find(said: Said) -> Iterator[Finding]:
        hits: dict[tuple[str, str], list[tuple[float, Line]]] = {}
        for weight, line in lines_heard(said, signs, who):
            hits.setdefault((line.about, line.node), []).append((weight, line))
        for (about, node), found in hits.items():
            yield Finding(
                at=about or (f"node/{node}" if node else "the text"),
                says=says,
                evidence=quoted([line for _, line in found]),
                next=next_,
                nodes=(node,) if node else (),
                pods=(about.removeprefix("pod/"),) if about.startswith("pod/") else (),
                weight=max(weight for weight, _ in found),
            )
        for missing in said.missing:
            known(missing)

    return find


def lines_heard(said: Said, signs: tuple[Sign, ...], who: frozenset[str] = frozenset()) -> list[tuple[float, Line]]:
    """The lines that have one of the signs, in their order, with the weight of the heaviest; others' words left out."""
    by_sign = _by_sign(said)
    weights: dict[int, float] = {}
    for one in signs:
        for number in by_sign.get(one.text, ()):
            weights[number] = max(weights.get(number, 0.0), one.weight)
    if not weights:
        return []
    lines = ((weight, said.lines[number]) for number, weight in sorted(weights.items()))
    return [(weight, line) for weight, line in lines if not (who and line.who and line.who not in who)]


_last: list[tuple[Said, dict[str, list[int]]]] = []  # what was said, and a rule's choice of it: read once for all rules


def _by_sign(said: Said) -> dict[str, list[int]]:
    """Sign -> numbers of the lines that have it."""
    for number, (read, found) in enumerate(_last):
        if read is said:
            if number:
                _last.insert(0, _last.pop(number))
            return found
    found = {}
    for number, line in enumerate(said.lines):
        for text in signs_in(plain(line.text)):
            found.setdefault(text, []).append(number)
    _last[:] = [(said, found), *_last[:1]]
    return found


def quoted(lines: list[Line]) -> tuple[str, ...]:
    """The first few different ones, each with the place where it stands."""
    texts: dict[str, Line] = {}
    for line in lines:
        texts.setdefault(line.text, line)
    shown = [f"{line.where}: {line.text}" if line.where else line.text for line in texts.values()]
    more = len(shown) - SHOWN
    return (*shown[:SHOWN], *((f"and {more} more lines like these",) if more > 0 else ()))
