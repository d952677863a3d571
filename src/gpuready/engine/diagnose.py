"""From verdicts to a diagnosis: which finding is the cause, which only follows from it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gpuready.engine import catalog
from gpuready.engine.judge import judge_rule
from gpuready.model.chain import LINKS, position
from gpuready.model.diagnosis import Cause, Diagnosis, Found, Open
from gpuready.model.rule import Finding, Rule, Verdict

LAYER = "diagnose"
PATIENT = "no-gpu-offered"  # it does not apply where nothing points to GPUs


def diagnose(facts: Mapping[str, Any]) -> Diagnosis:
    """Every rule of the layer, judged over the facts and put in order."""
    rules = {rule.id: rule for rule in catalog.rules(LAYER)}
    return explain(rules, [judge_rule(rule, facts) for rule in rules.values()])


def explain(rules: Mapping[str, Rule], verdicts: Iterable[Verdict]) -> Diagnosis:
    """A finding is a consequence where another one that comes before it concerns the same place; see `follows`."""
    verdicts = tuple(verdicts)
    found = _own_lines([_found(rules[v.rule], f) for v in verdicts for f in v.findings])
    found.sort(key=_order)
    roots = [n for n, one in enumerate(found) if _parent(one, found, rules) is None]
    so: dict[int, list[Found]] = {n: [] for n in roots}
    for one in found:
        if (parent := _parent(one, found, rules)) is not None:
            so[_root(parent, found, rules)].append(one)
    causes = tuple(Cause(found=found[n], so=tuple(sorted(so[n], key=lambda f: position(f.link)))) for n in roots)
    return Diagnosis(
        causes=causes,
        unread=_unread(rules, verdicts, [c.found for c in causes]),
        looked_at=len(verdicts),
        nothing=next((v.missing for v in verdicts if v.rule == PATIENT and v.status == "not-applicable"), ""),
    )


def _found(rule: Rule, finding: Finding) -> Found:
    return Found(rule=rule.id, title=rule.title, link=rule.link, finding=finding, symptom=rule.symptom)


def _parent(one: Found, found: list[Found], rules: Mapping[str, Rule]) -> int | None:
    return next((n for n, other in enumerate(found) if other is not one and follows(one, other, rules)), None)


def _root(number: int, found: list[Found], rules: Mapping[str, Rule]) -> int:
    """Up the chain of consequences; the contract tests see to it that `because` has no circle."""
    while (parent := _parent(found[number], found, rules)) is not None:
        number = parent
    return number


def follows(one: Found, root: Found, rules: Mapping[str, Rule]) -> bool:
    """Whether `one` is a consequence of `root`: its rule names that one, or it is a symptom further down the chain."""
    if not _same_place(one, root):
        return False
    if root.rule in rules[one.rule].because:
        return True
    return one.symptom and position(root.link) < position(one.link)


def _same_place(one: Found, other: Found) -> bool:
    """What is said of no node or pod concerns them all."""
    a, b = one.finding, other.finding
    if not (a.nodes or a.pods) or not (b.nodes or b.pods):
        return True
    return bool(set(a.nodes) & set(b.nodes) or set(a.pods) & set(b.pods))


def _order(one: Found) -> tuple[bool, bool, int, str]:
    return one.symptom, not one.finding.sure, position(one.link), one.rule


def _own_lines(found: list[Found]) -> list[Found]:
    """Where rules rest on the same words, the one that they mean most to keeps them: general gives way to precise."""
    heaviest: dict[str, float] = {}
    for one in found:
        for line in one.finding.evidence:
            heaviest[line] = max(heaviest.get(line, 0.0), one.finding.weight)
    return [
        one
        for one in found
        if not one.finding.weight or any(heaviest[line] <= one.finding.weight for line in one.finding.evidence)
    ]


def _unread(rules: Mapping[str, Rule], verdicts: Iterable[Verdict], roots: Sequence[Found]) -> tuple[Open, ...]:
    """What was not decided: all of it where nothing was found, else what lies before a symptom nobody explains."""
    unexplained = [position(root.link) for root in roots if root.symptom]
    last = max(unexplained) if unexplained else -1 if roots else len(LINKS)
    out = []
    for verdict in verdicts:
        rule = rules[verdict.rule]
        undecided = verdict.status in ("undetermined", "crashed")
        if undecided and not verdict.findings and position(rule.link) <= last:
            out.append(Open(rule=rule.id, title=rule.title, link=rule.link, missing=verdict.missing, ask=verdict.ask))
    return tuple(sorted(out, key=lambda o: (position(o.link), o.rule)))
