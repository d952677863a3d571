"""What every remedy that there is and will be must keep, one body each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

import msgspec
import pytest
import yaml

from gpuready.engine import catalog
from gpuready.engine.judge import asks, judge_rule
from gpuready.engine.mend import answer
from gpuready.model.chart import ChartFiles
from gpuready.model.names import RESTART_RUNTIME
from gpuready.model.plan import Delete, Irreversible, Step
from gpuready.model.remedy import Answer, ByHand, Mend, Remedy
from gpuready.model.rule import Finding, Rule
from gpuready.texts.paste import read

from .facts import build, hidings, merge_facts
from .purity import imported, nothing_touched

RULES = {rule.id: rule for rule in catalog.rules("diagnose")}
REMEDIES = catalog.remedies()


class RawCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Facts, or a pasted text, on which the rule fires; what the remedy answers to each of its findings, in order."""

    case: str
    answers: tuple[Answer, ...]
    facts: Mapping[str, Any] = {}
    text: str = ""
    chart: ChartFiles | None = None  # that the user gave


class RawFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cases: tuple[RawCase, ...]
    base: Mapping[str, Any] = {}


class Case(msgspec.Struct, frozen=True):
    remedy: Remedy
    rule: Rule
    sentence: str
    facts: dict[str, Any]
    findings: tuple[Finding, ...]
    answers: tuple[Answer, ...]

    def __str__(self) -> str:
        return f"{self.remedy.rule}: {self.sentence}"


def cases_of(remedy: Remedy) -> Iterator[Case]:
    path = files("gpuready.remedies").joinpath(f"{remedy.rule.replace('-', '_')}.cases.yaml")
    raw = msgspec.convert(yaml.safe_load(path.read_text(encoding="utf-8")), RawFile)
    rule = RULES[remedy.rule]
    for case in raw.cases:
        facts = build(merge_facts(raw.base, case.facts))
        facts["chart"] = case.chart
        if case.text:
            facts["said"] = read(case.text).said
        yield Case(remedy, rule, case.case, facts, judge_rule(rule, facts).findings, case.answers)


CASES = [case for remedy in REMEDIES.values() for case in cases_of(remedy)]
by_case = pytest.mark.parametrize("case", CASES, ids=str)
by_rule = pytest.mark.parametrize("remedy", REMEDIES.values(), ids=lambda remedy: remedy.rule)


@by_rule
def test_a_remedy_mends_a_rule_that_there_is_and_has_cases(remedy: Remedy) -> None:
    assert remedy.rule in RULES
    assert [case for case in CASES if case.remedy is remedy]


@by_case
def test_a_remedy_answers_what_its_case_says(case: Case) -> None:
    assert tuple(answer(case.remedy, finding, case.facts) for finding in case.findings) == case.answers
    assert case.answers


@by_case
def test_a_remedy_touches_nothing_and_answers_the_same_twice(case: Case) -> None:
    first = [answer(case.remedy, finding, case.facts) for finding in case.findings]
    with nothing_touched():
        again = [answer(case.remedy, finding, case.facts) for finding in case.findings]
    assert again == first


@by_case
def test_a_remedy_that_cannot_see_leaves_it_to_a_person(case: Case) -> None:
    """Whatever is hidden from it, it says the same as before or gives way; its own fault is never the answer."""
    wanted = {name: case.facts[name] for name in {*asks(case.rule), *asks_of(case.remedy)}}
    for finding, whole in zip(case.findings, case.answers, strict=True):
        for what, facts in hidings(wanted):
            seen = answer(case.remedy, finding, facts)
            assert seen == whole or isinstance(seen, ByHand), what
            assert not isinstance(seen, ByHand) or "is at fault" not in seen.because, what


def asks_of(remedy: Remedy) -> tuple[str, ...]:
    return asks(Rule(remedy.rule, "", "fail", "", remedy.mend))[1:]


def steps() -> Iterator[Step]:
    for case in CASES:
        for one in case.answers:
            yield from one.steps if isinstance(one, Mend) else ()


def test_what_cannot_be_undone_or_restarts_a_runtime_needs_consent_and_nothing_else_does() -> None:
    wrong = [
        s.id for s in steps() if bool(s.consent) != (s.consent == RESTART_RUNTIME or isinstance(s.undo, Irreversible))
    ]
    assert wrong == []


def test_a_pod_is_deleted_by_its_uid_and_never_as_if_that_were_nothing() -> None:
    deletes = [s for s in steps() if isinstance(s.action, Delete)]
    assert [s.id for s in deletes if not s.action.uid or s.interrupts == "nothing"] == []  # type: ignore[union-attr]


@by_case
def test_the_steps_of_a_remedy_have_names_of_their_own(case: Case) -> None:
    for one in case.answers:
        ids = [s.id for s in one.steps] if isinstance(one, Mend) else []
        assert ids == list(dict.fromkeys(ids))


@by_rule
def test_a_remedy_tells_what_it_does_and_what_it_leaves_to_a_person(remedy: Remedy) -> None:
    """`gpuready explain` says it before there is a finding, so it must be as true as the answers."""
    given = [one for case in CASES if case.remedy is remedy for one in case.answers]
    left = [one for one in given if isinstance(one, ByHand)]
    assert bool(remedy.does) == (len(left) < len(given))
    assert bool(remedy.by_hand) == bool(left)
    asked = {s.consent for one in given if isinstance(one, Mend) for s in one.steps if s.consent}
    assert set(re.findall(r"--allow=([\w-]+)", remedy.does)) == asked
    for proof in {one.proved_by for one in left}:
        words = {word.strip("`") for word in proof.split()}
        assert words <= {word.strip("`,;") for word in remedy.by_hand.split()}, proof


@by_rule
def test_a_remedy_imports_only_the_model_the_knowledge_and_what_remedies_share(remedy: Remedy) -> None:
    source = files("gpuready.remedies").joinpath(f"{remedy.rule.replace('-', '_')}.py").read_text()
    allowed = ("gpuready.model.", "gpuready.knowledge", "gpuready.remedies._")
    plain = {"__future__", "collections.abc", "functools", "msgspec", "re", "typing"}
    assert [m for m in imported(source) if m not in plain and not m.startswith(allowed)] == []
