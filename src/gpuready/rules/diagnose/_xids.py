"""What a line says of Xids, in the words of NVIDIA's catalogue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

from gpuready.knowledge.xids import Xid, describe
from gpuready.model.facts.said import Said
from gpuready.model.rule import Finding, Rule

# NVRM: Xid (PCI:0000:0f:00): 74, ... | XidCriticalError: Xid=48 on Device ... | Xid 79 at 2026-11-23T09:14:00Z: ...
NUMBER = re.compile(r"\bxid\b\s{0,4}(?:\([^)]{0,40}\)\s{0,4}:?|[=:])?\s{0,4}(\d{1,3})\b(?!:)", re.IGNORECASE)
Words = Callable[[tuple[Xid, ...]], tuple[str, str]]


def in_lines(lines: tuple[str, ...]) -> tuple[Xid, ...]:
    """Each one once, in the order in which they stand there."""
    found = (int(number) for line in lines for number in NUMBER.findall(line))
    return tuple(describe(number) for number in dict.fromkeys(found))


def telling(rule: Rule, words: Words) -> Rule:
    """The rule over words, whose findings say which Xid it is and what to do about that one: `words` gives both."""

    def find(said: Said) -> Iterator[Finding]:
        for finding in rule.find(said):
            xids = in_lines(finding.evidence)
            if not xids:
                yield finding
                continue
            says, next_ = words(xids)
            yield msgspec.structs.replace(finding, says=says[:130], next=next_)

    return msgspec.structs.replace(rule, find=find)


def at_fault(xid: Xid) -> str:
    """By NVIDIA's listing; empty where it does not class the number."""
    *most, last = xid.at_fault or ("",)
    return f"{', '.join(most)} or {last}" if most else last
