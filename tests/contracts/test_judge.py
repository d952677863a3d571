"""The judge: facts by name, what could not be read is named, and one rule's fault costs only its own verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gpuready.engine.judge import judge
from gpuready.model.fleet import each
from gpuready.model.rule import Finding, NotApplicable, Rule, Verdict
from gpuready.model.unknown import TouchedUnknown, Unknown, known

HERE = Finding(at="here", says="so it is", evidence=("seen",), next="go on")
FACTS: dict[str, Any] = {"number": 1, "unread": Unknown("403", ask="ask again")}


def rule(name: str, find: Any) -> Rule:
    return Rule(name, "test", "warn", name, find)


def passes(number: int) -> Iterator[Finding]:
    if number > 1:
        yield HERE


def finds(number: int) -> Iterator[Finding]:
    if number == 1:
        yield HERE


def wants_unread(unread: str) -> Iterator[Finding]:
    yield HERE


def wants_absent(absent: str) -> Iterator[Finding]:
    yield HERE


def touches(number: int) -> Iterator[Finding]:
    if Unknown(f"{number} not read", ask="read it"):
        yield HERE


def finds_then_touches(number: int) -> Iterator[Finding]:
    yield HERE
    known(Unknown(f"{number} not read"))


def has_no_subject(number: int) -> Iterator[Finding]:
    if number:
        raise NotApplicable("no agent")
    yield HERE


def crashes(number: int) -> Iterator[Finding]:
    yield from {}[number]


def finds_then_crashes(number: int) -> Iterator[Finding]:
    yield HERE
    yield from {}[number]


@pytest.mark.parametrize(
    ("find", "status", "findings", "missing", "ask"),
    [
        (passes, "pass", (), "", ""),
        (finds, "found", (HERE,), "", ""),
        (wants_unread, "undetermined", (), "403", "ask again"),
        (wants_absent, "undetermined", (), "fact 'absent' was not gathered", ""),
        (touches, "undetermined", (), "1 not read", "read it"),
        (finds_then_touches, "found", (HERE,), "1 not read", ""),
        (has_no_subject, "not-applicable", (), "no agent", ""),
        (crashes, "crashed", (), "r: KeyError", ""),
        (finds_then_crashes, "found", (HERE,), "r: KeyError", ""),
    ],
)
def test_one_verdict(find: Any, status: Any, findings: Any, missing: str, ask: str) -> None:
    verdict = Verdict(rule="r", effect="warn", status=status, findings=findings, missing=missing, ask=ask)
    assert judge([rule("r", find)], FACTS) == (verdict,)


def test_the_rules_after_a_crashing_one_still_run() -> None:
    verdicts = judge([rule("a", crashes), rule("b", finds)], FACTS)
    assert [(v.rule, v.status) for v in verdicts] == [("a", "crashed"), ("b", "found")]


def test_what_could_not_be_read_on_one_node_hides_no_finding_of_another() -> None:
    def find(node: str) -> Iterator[Finding]:
        if node != "b":
            known(Unknown(f"{node} not read", ask=f"look at {node}"))
        yield HERE

    findings: list[Finding] = []
    with pytest.raises(TouchedUnknown) as touched:
        findings.extend(each("abcdef", find))
    assert findings == [HERE]
    assert touched.value.unknown == Unknown("a not read; c not read; d not read; and 2 more", ask="look at a")
