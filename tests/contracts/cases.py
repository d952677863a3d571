"""The cases beside the rules: facts in, findings out."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from gpuready.engine import catalog
from gpuready.engine.judge import judge_rule
from gpuready.model.rule import Finding, Rule
from gpuready.texts.paste import read

from .facts import BadFacts, build, load_yaml, merge_facts


class RawFinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at: str
    says: str
    evidence: tuple[str, ...]
    next: str = ""
    nodes: tuple[str, ...] = ()
    pods: tuple[str, ...] = ()
    weight: float = 0.0


class RawCase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either facts and findings, or, for rules over what was said, a text as `doctor -` takes it and where it hits."""

    case: str  # a sentence
    facts: Mapping[str, Any] = {}
    text: str = ""
    at: tuple[str, ...] = ()  # `at` of each finding
    findings: tuple[RawFinding, ...] = ()
    undetermined: str = ""  # what must be named as missing; beside findings: what could not be read as well


class RawFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    cases: tuple[RawCase, ...]
    base: Mapping[str, Any] = {}


class Case(msgspec.Struct, frozen=True):
    rule: Rule
    sentence: str
    facts: dict[str, Any]
    findings: tuple[Finding, ...]
    missing: str
    text: str = ""
    at: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        if self.findings or self.at:
            return "found"
        return "undetermined" if self.missing else "pass"

    def __str__(self) -> str:
        return f"{self.rule.id}: {self.sentence}"


@cache
def cases_of(rule: Rule) -> tuple[Case, ...]:
    name = f"{rule.id.replace('-', '_')}.cases.yaml"
    path = Path(str(files(f"gpuready.rules.{rule.layer}"))) / name
    if not path.is_file():
        raise BadFacts(f"rule {rule.id} has no cases: {name} is not there")
    raw = msgspec.convert(load_yaml(path), RawFile)
    return tuple(_case(rule, raw.base, case) for case in raw.cases)


def _case(rule: Rule, base: Mapping[str, Any], raw: RawCase) -> Case:
    try:
        facts = build(merge_facts(base, raw.facts))
    except BadFacts as error:
        raise BadFacts(f"{rule.id}: {raw.case}: {error}") from error
    if raw.text:
        return _text_case(rule, facts, raw)
    findings = tuple(Finding(**msgspec.structs.asdict(finding)) for finding in raw.findings)
    return Case(rule, raw.case, facts, findings, raw.undetermined)


def _text_case(rule: Rule, facts: dict[str, Any], raw: RawCase) -> Case:
    """The text is all that was said, unless the case is about what else may have been."""
    said = read(raw.text).said
    facts["said"] = said if raw.undetermined else msgspec.structs.replace(said, missing=())
    verdict = judge_rule(rule, facts)
    return Case(rule, raw.case, facts, verdict.findings if raw.at else (), raw.undetermined, raw.text, raw.at)


@cache
def all_cases() -> tuple[Case, ...]:
    return tuple(case for rule in catalog.all_rules() for case in cases_of(rule))
