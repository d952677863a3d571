"""Which finding is the cause, and which only follows from it."""

from __future__ import annotations

from gpuready.engine.diagnose import explain
from gpuready.model.rule import Finding, Rule, Verdict
from gpuready.report.doctor_text import doctor_text


def rule(id_: str, link: str, *, symptom: bool = False, because: tuple[str, ...] = ()) -> Rule:
    return Rule(id_, "diagnose", "fail", id_, lambda: iter(()), link=link, symptom=symptom, because=because)


RULES = {
    r.id: r
    for r in (
        rule("nouveau", "kernel driver"),
        rule("no-driver", "kernel driver", because=("nouveau",)),
        rule("runtime", "runtime config"),
        rule("held", "allocatable"),
        rule("refused", "admission", symptom=True, because=("held",)),
        rule("pending", "scheduling", symptom=True),
        rule("crashing", "plugin", symptom=True),
    )
}


def found(id_: str, *nodes: str, weight: float = 0.0, line: str = "") -> Verdict:
    finding = Finding(at=id_, says=id_, evidence=(line or id_,), nodes=nodes, weight=weight)
    return Verdict(rule=id_, effect="fail", status="found", findings=(finding,))


def unread(id_: str) -> Verdict:
    return Verdict(rule=id_, effect="fail", status="undetermined", missing="no logs", ask="read them")


def tree(*verdicts: Verdict) -> list[tuple[str, list[str]]]:
    return [(c.found.rule, [one.rule for one in c.so]) for c in explain(RULES, verdicts).causes]


def test_a_symptom_follows_from_what_is_broken_before_it() -> None:
    assert tree(found("pending", "a"), found("runtime", "a")) == [("runtime", ["pending"])]


def test_what_is_broken_later_in_the_chain_explains_nothing_before_it() -> None:
    assert tree(found("crashing", "a"), found("held", "a")) == [("held", []), ("crashing", [])]


def test_two_faults_at_once_are_two_causes() -> None:
    assert tree(found("held", "a"), found("refused", "a"), found("runtime", "a"), found("crashing", "a")) == [
        ("runtime", ["crashing", "refused"]),
        ("held", []),
    ]


def test_one_fault_brings_another_about_where_its_rule_says_so() -> None:
    assert tree(found("no-driver", "a"), found("nouveau", "a"), found("crashing", "a")) == [
        ("nouveau", ["no-driver", "crashing"])
    ]


def test_other_nodes_have_causes_of_their_own() -> None:
    assert tree(found("pending", "b"), found("runtime", "a")) == [("runtime", []), ("pending", [])]


def test_what_is_said_of_no_node_concerns_all() -> None:
    assert tree(found("pending", "b"), found("runtime")) == [("runtime", ["pending"])]


def test_words_that_two_rules_claim_belong_to_the_one_they_mean_most_to() -> None:
    assert tree(found("runtime", weight=1.0, line="x"), found("held", weight=3.0, line="x")) == [("held", [])]
    assert tree(found("runtime", weight=1.0, line="x"), found("held", weight=3.0, line="y")) == [
        ("held", []),
        ("runtime", []),
    ]


def test_questions_stay_open_where_they_could_still_matter() -> None:
    open_ = [[o.rule for o in explain(RULES, v).unread] for v in (
        [unread("runtime"), unread("held")],
        [found("nouveau"), unread("held")],
        [found("pending"), unread("runtime"), unread("refused")],
    )]  # fmt: skip
    assert open_ == [["runtime", "held"], [], ["runtime"]]


def test_exit_codes() -> None:
    assert [explain(RULES, v).exit_code for v in ([], [unread("held")], [found("held"), unread("runtime")])] == [
        0,
        3,
        2,
    ]


def test_a_cluster_that_nothing_points_to_gpus_in_is_not_called_well() -> None:
    rules = {"no-gpu-offered": rule("no-gpu-offered", "allocatable")}
    none = Verdict(rule="no-gpu-offered", effect="fail", status="not-applicable", missing="no GPUs here")
    diagnosis = explain(rules, [none])
    assert (diagnosis.nothing, diagnosis.exit_code) == ("no GPUs here", 0)
    assert doctor_text(diagnosis) == "nothing to judge: no GPUs here (exit 0)"
