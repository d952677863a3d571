"""How often the doctor names the right cause, over the texts of the cases and fresh ones. Writes docs/scoreboard.md.

usage: python docs/make/scoreboard.py [--print]
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from gpuready.engine.diagnose import LAYER, diagnose
from gpuready.engine.pasted import facts_of
from tests.contracts.cases import Case, all_cases

PAGE = Path(__file__).resolve().parents[1] / "scoreboard.md"
FRESH = Path(__file__).with_name("fresh.yaml")
MADE = "<!-- made by docs/make/scoreboard.py -->\n"
OUTCOMES = ("top-1", "top-3", "later", "wrong cause", "undetermined", "false positive", "rightly silent")


class Scored(NamedTuple):
    case: Case
    outcome: str
    named: tuple[str, ...]


def score(case: Case) -> Scored:
    named = causes(case.text)
    return Scored(case, _outcome(case, named), named)


def causes(text: str) -> tuple[str, ...]:
    """The rules that the doctor names, the first first."""
    return tuple(dict.fromkeys(c.found.rule for c in diagnose(facts_of(text)).causes))


def _outcome(case: Case, named: tuple[str, ...]) -> str:
    if not case.at:
        return "false positive" if case.rule.id in named else "rightly silent"
    if case.rule.id in named:
        rank = named.index(case.rule.id)
        return "top-1" if rank == 0 else "top-3" if rank < 3 else "later"
    return "wrong cause" if named else "undetermined"


def page() -> str:
    scored = [score(c) for c in all_cases() if c.rule.layer == LAYER and c.text]
    counts = Counter(s.outcome for s in scored)
    rows = "\n".join(f"| {outcome} | {counts[outcome]} |" for outcome in OUTCOMES)
    missed = [s for s in scored if s.outcome not in ("top-1", "rightly silent")]
    told = "\n".join(f"- {s.case}: {s.outcome}; named: {', '.join(s.named) or 'nothing'}" for s in missed)
    return (
        f"{MADE}# Scoreboard\n\nThe whole doctor over every text of the cases: {len(scored)} texts, "
        f"{sum(1 for s in scored if s.case.at)} with a fault.\nA text with a fault counts by the rank of its cause; "
        f"a text that is near a fault and has none must not name it.\n\n| outcome | texts |\n|---|---|\n{rows}\n"
        f"\n## Not first\n\n{told or 'none'}\n{fresh()}"
    )


def fresh() -> str:
    """The texts that were written after the rules; a healthy one must name nothing at all."""
    rows = []
    for text in yaml.safe_load(FRESH.read_text())["texts"]:
        rows.append(f"| {text['about']} | {', '.join(causes(text['text'])) or 'nothing'} | {_fresh_outcome(text)} |")
    right = sum(1 for row in rows if row.endswith(("| top-1 |", "| rightly silent |")))
    return (
        f"\n## Fresh texts\n\nWritten after the rules were done, in the words of other components and releases: "
        f"{right} of {len(rows)} right.\n\n| text | named, the first first | outcome |\n|---|---|---|\n"
        + "\n".join(rows)
        + "\n"
    )


def _fresh_outcome(text: dict[str, Any]) -> str:
    named, wanted = causes(text["text"]), text["cause"]
    if not wanted:
        return "false positive" if named else "rightly silent"
    ranks = [named.index(cause) for cause in wanted if cause in named]
    if not ranks:
        return "wrong cause" if named else "undetermined"
    return "top-1" if min(ranks) == 0 else "top-3" if min(ranks) < 3 else "later"


def main() -> None:
    text = page()
    if "--print" in sys.argv[1:]:
        print(text)
    else:
        PAGE.write_text(text)


if __name__ == "__main__":
    main()
