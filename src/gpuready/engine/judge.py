"""Judges rules over facts: what was found, what could not be decided and why. One rule's fault never stops another."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from gpuready.model.rule import Finding, NotApplicable, Rule, Status, Verdict
from gpuready.model.unknown import TouchedUnknown, Unknown


def judge(rules: Iterable[Rule], facts: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """One verdict a rule, in the rules' order. Facts are handed to a rule by the names of its parameters."""
    return tuple(judge_rule(rule, facts) for rule in rules)


def asks(rule: Rule) -> tuple[str, ...]:
    """The facts that the rule wants, by name."""
    return _parameters(rule.find)


@lru_cache(1 << 12)  # every rule is judged anew for every diagnosis, and asking takes as long as most rules do
def _parameters(find: Callable[..., object]) -> tuple[str, ...]:
    return tuple(inspect.signature(find).parameters)


def judge_rule(rule: Rule, facts: Mapping[str, Any]) -> Verdict:
    """A finding stands, whatever could not be read after it; without one, what could not be read is named."""
    wanted = asks(rule)
    for name in wanted:
        fact = facts.get(name, Unknown(f"fact {name!r} was not gathered"))
        if isinstance(fact, Unknown):
            return _verdict(rule, "undetermined", (), fact)
    found: list[Finding] = []
    try:
        for finding in rule.find(**{name: facts[name] for name in wanted}):
            found.append(finding)
    except TouchedUnknown as touched:
        return _verdict(rule, "found" if found else "undetermined", found, touched.unknown)
    except NotApplicable as none:
        return _verdict(rule, "found" if found else "not-applicable", found, Unknown(str(none)))
    except Exception as error:  # a rule's own fault must cost only its own verdict; the class is enough to report it
        return _verdict(rule, "found" if found else "crashed", found, Unknown(f"{rule.id}: {type(error).__name__}"))
    return _verdict(rule, "found" if found else "pass", found, Unknown(""))


def _verdict(rule: Rule, status: Status, found: Iterable[Finding], unknown: Unknown) -> Verdict:
    return Verdict(
        rule=rule.id,
        effect=rule.effect,
        status=status,
        findings=tuple(found),
        missing=unknown.why,
        ask=unknown.ask,
    )
