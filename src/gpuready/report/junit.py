"""JUnit XML, as Jenkins, GitLab and GitHub actions read it: of a verification, of rules, of a diagnosis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple
from xml.etree import ElementTree

from gpuready.model.chain import LINKS
from gpuready.model.diagnosis import Diagnosis, Found, Open
from gpuready.model.rule import Verdict
from gpuready.model.verdict import GpuVerdict
from gpuready.report.escape import one_line
from gpuready.report.view import natural


class _Case(NamedTuple):
    suite: str
    name: str
    outcome: Literal["passed", "failure", "error", "skipped"]
    message: str = ""
    said: str = ""  # goes to system-out
    seconds: float = 0.0


def verify_junit(verdicts: Sequence[GpuVerdict]) -> str:
    """A testsuite per node, a testcase per GPU. UNDETERMINED is skipped, with the reason: JUnit has no word for it.

    No verdict at all is one skipped case, never an empty and so a green report.
    """
    ordered = sorted(verdicts, key=lambda v: natural(v.node))
    none = _Case("cluster", "GPUs", "skipped", "UNDETERMINED: no GPU was verified")
    return _document("gpuready verify", "gpuready.verify", [_gpu_case(v) for v in ordered] or [none])


def _gpu_case(v: GpuVerdict) -> _Case:
    parts = f"scheduled: {v.scheduled}, computed: {v.computed}"
    message = f"{v.note}; {parts}" if v.note else parts
    outcome: Literal["passed", "failure", "skipped"] = (
        "passed" if v.verdict == "PASS" else "failure" if v.verdict == "FAIL" else "skipped"
    )
    said = f"{v.stand_in}: there is no GPU, only a stand-in for one" if v.stand_in else ""
    if outcome == "skipped":
        message = f"UNDETERMINED: {message}"
    return _Case(v.node, v.uuid, outcome, message, said, v.seconds or 0.0)


def rules_junit(verdicts: Sequence[Verdict]) -> str:
    """One testsuite, a testcase per rule: refusals and faults fail, warnings and questions pass and are told."""
    return _document("gpuready rules", "gpuready", [_rule_case(v) for v in verdicts])


def _rule_case(v: Verdict) -> _Case:
    says = "; ".join(f"{f.at}: {f.says}" for f in v.findings)
    if v.status == "found":
        if v.effect in ("refuse", "fail"):
            return _Case("rules", v.rule, "failure", says)
        return _Case("rules", v.rule, "passed", said=f"{v.effect}: {says}")
    if v.status == "crashed":
        return _Case("rules", v.rule, "error", v.missing)
    if v.status == "pass":
        return _Case("rules", v.rule, "passed")
    ask = f"; would decide: {v.ask}" if v.ask else ""
    return _Case("rules", v.rule, "skipped", f"{v.status}: {v.missing}{ask}")


def doctor_junit(diagnosis: Diagnosis) -> str:
    """A testsuite for each link of the chain, in its order. What is found fails, each cause and each consequence a
    case of its own; what was not read is skipped; a link of which neither can be said is one case that passed."""
    cases: list[_Case] = []
    for link in LINKS:
        own = [_found_case(link, cause.found, "") for cause in diagnosis.causes if cause.found.link == link]
        for cause in diagnosis.causes:
            own += [_found_case(link, one, cause.found.rule) for one in cause.so if one.link == link]
        own += [_open_case(one) for one in diagnosis.unread if one.link == link]
        cases += own or [_Case(link, "nothing was found", "passed", said=diagnosis.nothing)]
    return _document("gpuready doctor", "gpuready.doctor", cases)


def _found_case(link: str, found: Found, of: str) -> _Case:
    finding = found.finding
    says = f"{finding.says}; follows from {of}" if of else finding.says
    said = " | ".join((*finding.evidence, *((f"next: {finding.next}",) if finding.next else ())))
    return _Case(link, f"{found.rule} {finding.at}", "failure", says, said)


def _open_case(one: Open) -> _Case:
    ask = f"; would decide: {one.ask}" if one.ask else ""
    return _Case(one.link, one.rule, "skipped", f"UNDETERMINED: {one.missing}{ask}")


def _document(name: str, prefix: str, cases: Sequence[_Case]) -> str:
    root = ElementTree.Element("testsuites", {"name": name, **_counts(cases, skipped=False)})
    for suite in dict.fromkeys(c.suite for c in cases):
        inside = [c for c in cases if c.suite == suite]
        element = ElementTree.SubElement(root, "testsuite", {"name": one_line(suite), **_counts(inside)})
        for case in inside:
            _add(element, case, f"{prefix}.{case.suite}")
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _counts(cases: Sequence[_Case], skipped: bool = True) -> dict[str, str]:
    """`skipped` is an attribute of a testsuite, not of testsuites, in Jenkins' schema."""
    words = {"failures": "failure", "errors": "error", **({"skipped": "skipped"} if skipped else {})}
    counted = {attribute: str(sum(c.outcome == word for c in cases)) for attribute, word in words.items()}
    return {"tests": str(len(cases)), **counted, "time": f"{sum(c.seconds for c in cases):.3f}"}


def _add(suite: ElementTree.Element, case: _Case, classname: str) -> None:
    attributes = {"name": one_line(case.name), "classname": one_line(classname), "time": f"{case.seconds:.3f}"}
    element = ElementTree.SubElement(suite, "testcase", attributes)
    if case.outcome != "passed":
        extra = {} if case.outcome == "skipped" else {"type": case.outcome}
        ElementTree.SubElement(element, case.outcome, {"message": one_line(case.message), **extra})
    if case.said:
        ElementTree.SubElement(element, "system-out").text = one_line(case.said)
