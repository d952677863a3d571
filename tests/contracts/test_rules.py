"""What every rule that there is and will be must keep, one body each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpuready.engine import catalog
from gpuready.engine.judge import asks, judge_rule
from gpuready.model.chain import LINKS
from gpuready.model.facts.cluster import Node, Pod
from gpuready.model.rule import Rule

from .cases import Case, all_cases, cases_of
from .facts import build, hidings, load_yaml
from .purity import Touched, imported, nothing_touched

RULES = catalog.all_rules()
CASES = all_cases()
HEALTHY = sorted((Path(__file__).parent / "healthy").glob("*.yaml"))

by_id = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


@by_id
def test_a_rule_has_a_firing_a_silent_and_an_undetermined_case(rule: Rule) -> None:
    assert {"found", "pass", "undetermined"} <= {case.status for case in cases_of(rule)}


@by_id
def test_the_cases_of_a_rule_are_told_apart_by_a_sentence(rule: Rule) -> None:
    sentences = [case.sentence for case in cases_of(rule)]
    assert sentences == list(dict.fromkeys(sentences))
    assert [s for s in sentences if len(s.split()) < 3] == []


def asked_for(case: Case) -> dict[str, Any]:
    """The facts that its rule takes: the judge hands it no others."""
    return {name: case.facts[name] for name in asks(case.rule)}


@pytest.mark.parametrize("case", [c for c in CASES if c.findings], ids=str)
def test_hiding_evidence_never_makes_a_finding_a_pass(case: Case) -> None:
    verdicts = {what: judge_rule(case.rule, facts).status for what, facts in hidings(asked_for(case))}
    assert {what: status for what, status in verdicts.items() if status not in ("found", "undetermined")} == {}


@pytest.mark.parametrize("case", [c for c in CASES if c.status == "undetermined"], ids=str)
def test_hiding_more_keeps_what_is_undetermined_undetermined(case: Case) -> None:
    verdicts = {what: judge_rule(case.rule, facts).status for what, facts in hidings(asked_for(case))}
    assert {what: status for what, status in verdicts.items() if status != "undetermined"} == {}


OF_ALL_NODES = {"no-gpu-nodes"}  # says "none": one node that was not looked at leaves that open


@pytest.mark.parametrize("case", [c for c in CASES if c.findings and c.rule.id not in OF_ALL_NODES], ids=str)
def test_a_node_that_could_not_be_looked_at_hides_no_finding_of_another(case: Case) -> None:
    cluster = case.facts["cluster"]
    silent = Node(name="a-silent-node", uid="u")
    facts = {
        **case.facts,
        "chosen": (silent.name, *case.facts["chosen"]),
        "cluster": msgspec.structs.replace(cluster, nodes=(silent, *cluster.nodes)),
    }
    assert judge_rule(case.rule, facts).findings == case.findings


@cache
def healthy_facts(path: Path) -> dict[str, Any]:
    return build(load_yaml(path))


@by_id
def test_a_rule_is_silent_on_every_healthy_cluster(rule: Rule) -> None:
    verdicts = {path.stem: judge_rule(rule, healthy_facts(path)) for path in HEALTHY}
    if rule.id == "no-gpu-offered":
        assert verdicts.pop("plain").status == "not-applicable"  # nothing points to GPUs there: no patient
    assert {name: v for name, v in verdicts.items() if (v.status, v.findings, v.missing) != ("pass", (), "")} == {}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_rule_touches_nothing_and_answers_the_same_twice(case: Case) -> None:
    first = judge_rule(case.rule, case.facts)
    with nothing_touched():
        again = judge_rule(case.rule, case.facts)
    assert again == first


@by_id
def test_a_rule_imports_only_the_model_the_knowledge_and_what_its_layer_shares(rule: Rule) -> None:
    source = files(f"gpuready.rules.{rule.layer}").joinpath(f"{rule.id.replace('-', '_')}.py").read_text()
    shared = f"gpuready.rules.{rule.layer}._"
    allowed = ("gpuready.model.", "gpuready.knowledge", shared)
    plain = {"__future__", "collections.abc", "functools", "re", "typing"}
    assert [m for m in imported(source) if m not in plain and not m.startswith(allowed)] == []


@pytest.mark.parametrize("case", [c for c in CASES if c.findings], ids=str)
def test_a_finding_shows_its_evidence_and_says_what_to_do_next(case: Case) -> None:
    for finding in case.findings:
        assert finding.evidence
        assert finding.next
        assert not finding.says.endswith(".")
        assert "please" not in f"{finding.says} {finding.next}".lower()
        assert len(finding.says) <= 130


def test_ids_are_unique_over_all_layers() -> None:
    ids = [rule.id for rule in RULES]
    assert sorted(ids) == sorted(set(ids))


def test_the_effects_belong_to_their_layers() -> None:
    effects = {(rule.layer, rule.effect) for rule in RULES}
    before = {("preflight", effect) for effect in ("refuse", "ask", "warn")}
    assert effects == before | {("verify", "fail"), ("diagnose", "fail")}


DIAGNOSE = catalog.rules("diagnose")


def test_only_rules_of_the_doctor_have_a_place_in_the_chain() -> None:
    assert {rule.id for rule in RULES if rule.link or rule.symptom or rule.because} <= {rule.id for rule in DIAGNOSE}
    assert {rule.id: rule.link for rule in DIAGNOSE if rule.link not in LINKS} == {}


def test_consequences_name_rules_that_there_are_and_make_no_circle() -> None:
    because = {rule.id: rule.because for rule in DIAGNOSE}
    assert {one: name for one, names in because.items() for name in names if name not in because} == {}
    tuple(TopologicalSorter(because).static_order())


def test_the_watch_sees_a_rule_that_opens_a_file() -> None:
    def find(chosen: tuple[str, ...]) -> Iterator[Any]:
        Path(__file__).read_text()
        yield from chosen

    with pytest.raises(Touched), nothing_touched():
        judge_rule(Rule("opens-a-file", "test", "warn", "Opens a file", find), {"chosen": ()})


def test_judging_a_cluster_ten_times_as_large_costs_no_more_than_proportionally() -> None:
    small, large = (cost(scale) for scale in (100, 1000))
    assert large < 30 * small


def cost(scale: int) -> float:
    """Seconds for all rules over so many nodes with ten pods each; the best of three."""
    names = [f"n{i}" for i in range(scale)]
    facts = build({"chosen": names})
    facts["looks"] = dict.fromkeys(names, facts["looks"]["gpu-1"])
    nodes = tuple(Node(name=name, uid=name, ready=True, kubelet="v1.34.4") for name in names)
    pods = tuple(Pod(namespace="d", name=str(i), uid=str(i), node=names[i % scale]) for i in range(10 * scale))
    facts["cluster"] = msgspec.structs.replace(facts["cluster"], nodes=nodes, pods=pods)
    times = []
    for _ in range(3):
        start = time.process_time()
        for rule in RULES:
            judge_rule(rule, facts)
        times.append(time.process_time() - start)
    return min(times)
