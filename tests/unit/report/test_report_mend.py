"""What doctor --fix says of what is left to a person, and of what came of the mend."""

from __future__ import annotations

from gpuready.model.diagnosis import Found
from gpuready.model.remedy import Answered, ByHand, Mend, Outcome
from gpuready.model.rule import Finding
from gpuready.report.mend_text import by_hand_text, outcome_text


def found(rule: str, at: str) -> Found:
    finding = Finding(at=at, says="it is so", evidence=("e",), next="do this")
    return Found(rule=rule, title="t", link="node", finding=finding)


CORDONED, HELD = found("gpu-nodes-cordoned", "pod/ml/a"), found("gpu-held", "pod/ml/b\x1b[2J")


def test_what_is_by_hand_says_why_and_how_it_is_proved() -> None:
    answered = [
        Answered(HELD, Mend(steps=())),
        Answered(CORDONED, ByHand(because="on purpose", do="uncordon it", proved_by="kubectl get nodes")),
    ]
    assert by_hand_text(answered) == (
        "BY HAND  gpu-nodes-cordoned  pod/ml/a\n  on purpose\n  do: uncordon it\n  proved by: kubectl get nodes"
    )
    assert by_hand_text(answered[:1]) == ""


def test_each_cause_and_what_is_left_is_told_and_no_terminal_obeys_a_name() -> None:
    outcomes = [
        Outcome(HELD, "mended", "it is not found any more"),
        Outcome(CORDONED, "undetermined", "listing nodes is forbidden"),
    ]
    text = outcome_text(outcomes, [found("pod-refused", "pod/ml/c")], exit_code=2, keeps=["it can be taken back"])
    assert text == (
        "MENDED  gpu-held  pod/ml/b\\x1b[2J: it is not found any more\n"
        "UNDETERMINED  gpu-nodes-cordoned  pod/ml/a: listing nodes is forbidden\n"
        "  the plan was carried out; whether it helped could not be read\n"
        "LEFT  pod-refused  pod/ml/c: it is so\n"
        "  do: do this\n"
        "it can be taken back\n"
        "mended: 1 of 2 causes (exit 2)"
    )


def test_a_mend_after_which_not_everything_could_be_read_says_so() -> None:
    text = outcome_text([Outcome(HELD, "mended", "it is not found any more")], [], exit_code=3)
    assert text.splitlines()[1:] == [
        "not everything could be read: gpuready doctor names what is missing",
        "mended: 1 of 1 cause (exit 3)",
    ]
