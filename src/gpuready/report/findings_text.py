"""What rules found, as text: warnings and questions beneath a plan, and why `up` refuses."""

from __future__ import annotations

from collections.abc import Sequence

from gpuready.model.rule import Finding, Verdict
from gpuready.report.colour import Role, paint
from gpuready.report.escape import one_line, wrap

WORDS: dict[str, tuple[str, Role]] = {
    "refuse": ("REFUSED", "fail"),
    "fail": ("FAIL", "fail"),
    "ask": ("ASK", "ask"),
    "warn": ("WARN", "warn"),
}
ORDER = tuple(WORDS)
INDENT = 2


def findings_text(verdicts: Sequence[Verdict], *, width: int | None = 80, colour: bool = False) -> str:
    """A few lines for each finding, gravest first, then each rule that could not decide. Empty: nothing to say."""
    shown = sorted((v for v in verdicts if v.status == "found"), key=lambda v: ORDER.index(v.effect))
    blocks = [_finding(v, f, width, colour) for v in shown for f in v.findings]
    blocks += [_undecided(v, width, colour) for v in verdicts if v.status in ("undetermined", "crashed")]
    return "\n".join(blocks)


def refusals_text(
    verdicts: Sequence[Verdict], *, cluster: str = "", width: int | None = 80, colour: bool = False
) -> str:
    """Why `up` does not begin: each refusal with its evidence and ways on, then what could not be decided.

    Empty when no rule refuses and every rule that may refuse has decided.
    """
    refused = [v for v in verdicts if v.effect == "refuse" and v.status == "found"]
    open_ = [v for v in verdicts if v.effect == "refuse" and v.status in ("undetermined", "crashed")]
    if not refused and not open_:
        return ""
    count = sum(len(v.findings) for v in refused)
    head = f"refused, nothing was changed{f' in {cluster}' if cluster else ''}: {_counts(count, len(open_))}"
    blocks = ["\n".join(wrap(one_line(head), width))]
    blocks += [_finding(v, f, width, colour) for v in refused for f in v.findings]
    blocks += [_undecided(v, width, colour) for v in open_]
    return "\n\n".join(blocks)


def _counts(refused: int, undecided: int) -> str:
    reasons = f"{refused} reason{'' if refused == 1 else 's'}" if refused else ""
    unsure = f"{undecided} check{'' if undecided == 1 else 's'} undecided" if undecided else ""
    return ", ".join(filter(None, (reasons, unsure)))


def _finding(verdict: Verdict, finding: Finding, width: int | None, colour: bool) -> str:
    word, role = WORDS[verdict.effect]
    says = finding.says if finding.at in finding.says or finding.at == "cluster" else f"{finding.at}: {finding.says}"
    more = [f"evidence: {e}" for e in finding.evidence]
    if finding.next:
        more.append(f"next: {finding.next}")
    if finding.nodes:
        more.append(f"or leave {_them(finding.nodes)} out: spec.nodes.exclude: [{', '.join(finding.nodes)}]")
    return _block(word, role, says, more, width, colour)


def _them(nodes: tuple[str, ...]) -> str:
    return "this node" if len(nodes) == 1 else f"these {len(nodes)} nodes"


def _undecided(verdict: Verdict, width: int | None, colour: bool) -> str:
    missing = verdict.missing or "no reason was given"
    if verdict.status == "crashed":
        says = f"{verdict.rule}: the check itself failed ({missing})"
        return _block("NOT READ", "unknown", says, ["next: report this as a fault of gpuready"], width, colour)
    ask = [f"would decide: {verdict.ask}"] if verdict.ask else []
    return _block("NOT READ", "unknown", f"{verdict.rule}: {missing}", ask, width, colour)


def _block(word: str, role: Role, says: str, more: Sequence[str], width: int | None, colour: bool) -> str:
    first, *rest = wrap(f"{word}  {one_line(says)}", width, INDENT)
    lines = [paint(word, role, colour) + first[len(word) :], *rest]
    room = None if width is None else width - INDENT
    for text in more:
        lines += [" " * INDENT + line for line in wrap(one_line(text), room, INDENT)]
    return "\n".join(lines)
