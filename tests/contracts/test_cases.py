"""Every rule says what its cases say, word for word."""

from __future__ import annotations

import pytest

from gpuready.engine.judge import judge_rule
from gpuready.model.rule import Verdict

from .cases import Case, all_cases


@pytest.mark.parametrize("case", all_cases(), ids=str)
def test_a_rule_says_what_its_case_says(case: Case) -> None:
    verdict = judge_rule(case.rule, case.facts)
    assert verdict == Verdict(
        rule=case.rule.id,
        effect=case.rule.effect,
        status=case.status,
        findings=case.findings,
        missing=case.missing,
        ask=verdict.ask,
    )
    assert not case.text or tuple(f.at for f in verdict.findings) == case.at
