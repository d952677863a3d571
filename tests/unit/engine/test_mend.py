"""From causes to one plan, what a mend leaves in the inventory, and what the evidence says of it afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest

from gpuready.engine.diagnose import diagnose
from gpuready.engine.leave import go_back
from gpuready.engine.ledger import Run, replay
from gpuready.engine.mend import Mending, answers, exit_code, left, outcomes, plan_mend, since, unfixable
from gpuready.model.diagnosis import Cause, Diagnosis, Found
from gpuready.model.facts.said import Line, Said
from gpuready.model.journal import End, Intent, Inventory, Item, Planned, Receipt, Start
from gpuready.model.plan import Delete, Edit, FieldChange, Plan, Ref, Restore, Stage, Step
from gpuready.model.remedy import Answer, Answered, ByHand, Mend, Respec
from gpuready.model.rule import Finding
from gpuready.model.spec import Setup
from tests.contracts.facts import build

Json = dict[str, Any]
DS = Ref(api_version="apps/v1", kind="DaemonSet", name="nvdp", namespace="nvidia")
NODE = Ref(api_version="v1", kind="Node", name="gpu-1")
NS = Ref(api_version="v1", kind="Namespace", name="gpuready-system")
TOLERATIONS = "/spec/template/spec/tolerations"
TAINTED = {"key": "team", "operator": "Exists"}


class Api:
    """What is there."""

    def __init__(self, objects: Mapping[Ref, Json]) -> None:
        self.objects = objects

    def get(self, ref: Ref) -> Json | None:
        return self.objects.get(ref)


def live(ref: Ref, spec: Json | None = None, **meta: Any) -> Json:
    whole = {"name": ref.name, "namespace": ref.namespace, "uid": f"uid-{ref.name}", **meta}
    return {"apiVersion": ref.api_version, "kind": ref.kind, "metadata": whole, "spec": spec or {}}


def found(rule: str = "gpu-node-taint-not-tolerated", at: str = "ds/nvidia/nvdp", link: str = "scheduling") -> Found:
    return Found(rule=rule, title="t", link=link, finding=Finding(at=at, says="s", evidence=("e",), next="do this"))


def edit(**fields: Any) -> Step:
    return Step(id="edit", verb="change", target="ds/nvidia/nvdp", action=Edit(DS, **fields), why="because")


def planned(answer: Answer, objects: Mapping[Ref, Json], inventory: Inventory | None = None) -> Mending:
    def none(setup: Setup) -> Any:
        raise AssertionError("no spec is changed")

    api: Any = Api({NS: live(NS), **objects})
    return plan_mend(api, [Answered(found(), answer)], inventory or Inventory(), "uid", none)


def test_an_edit_is_filled_in_with_what_is_there() -> None:
    there = live(DS, {"template": {"spec": {"tolerations": [{"key": "nvidia.com/gpu"}]}}})
    mend = Mend(steps=(edit(add={TOLERATIONS: (TAINTED,)}, to={"/metadata/labels/a~1b": "c"}),))
    (step,) = planned(mend, {DS: there}).plan.steps
    assert step.id == "mend gpu-node-taint-not-tolerated: edit"
    assert step.action == Edit(
        DS,
        to={TOLERATIONS: [{"key": "nvidia.com/gpu"}, TAINTED], "/metadata/labels/a~1b": "c"},
        uid="uid-nvdp",
        seen={TOLERATIONS: [{"key": "nvidia.com/gpu"}], "/metadata/labels/a~1b": None},
    )
    assert step.changes == (
        FieldChange(path=".spec.template.spec.tolerations[+]", after=TAINTED),
        FieldChange(path=".metadata.labels[a/b]", after="c"),
    )


def test_what_is_so_already_is_no_step() -> None:
    there = live(DS, {"template": {"spec": {"tolerations": [TAINTED]}}})
    assert planned(Mend(steps=(edit(add={TOLERATIONS: (TAINTED,)}),)), {DS: there}).plan.stages == ()


@pytest.mark.parametrize(
    ("meta", "because"),
    [
        (None, "ds/nvidia/nvdp is not there any more"),
        (
            {"ownerReferences": [{"kind": "ClusterPolicy", "name": "cluster-policy", "controller": True}]},
            "ClusterPolicy cluster-policy would put ds/nvidia/nvdp back",
        ),
        ({"annotations": {"argocd.argoproj.io/tracking-id": "x"}}, "Argo CD would put ds/nvidia/nvdp back"),
    ],
)
def test_what_somebody_would_put_back_is_left_to_a_person(meta: Json | None, because: str) -> None:
    objects = {} if meta is None else {DS: live(DS, **meta)}
    mending = planned(Mend(steps=(edit(to={"/spec/x": 1}),)), objects)
    assert mending.plan.stages == ()
    (one,) = mending.by_hand
    assert isinstance(one.answer, ByHand)
    assert one.answer.because == because


def test_where_nothing_of_ours_is_the_journal_comes_first() -> None:
    api: Any = Api({DS: live(DS)})
    mend = Mend(steps=(edit(to={"/spec/x": 1}),))
    plan = plan_mend(api, [Answered(found(), mend)], Inventory(), "uid", lambda s: pytest.fail("no spec")).plan
    assert [(stage.name, [s.target for s in stage.steps]) for stage in plan.stages] == [
        ("journal", ["ns/gpuready-system"]),
        ("gpu-node-taint-not-tolerated", ["ds/nvidia/nvdp"]),
    ]


# -- answers


def diagnosis(*causes: Found) -> Diagnosis:
    return Diagnosis(causes=tuple(Cause(found=c) for c in causes))


def test_causes_come_in_the_order_of_the_chain_and_one_without_a_remedy_is_by_hand() -> None:
    late, early = found("shm-too-small", "pod/a", "compute"), found("no-such-rule", "node/b", "node")
    said = list(answers(diagnosis(late, early), {}))
    by_hand = ByHand(because="gpuready has no remedy for it", do="do this")
    assert said == [Answered(early, by_hand), Answered(late, by_hand)]


def test_what_only_fits_is_mended_only_when_it_is_named() -> None:
    facts = build({"cluster": {"daemonsets": []}})
    finding = Finding(at="the text", says="s", evidence=("e",), next="do this", weight=1.0)
    unsure = msgspec.structs.replace(found(), finding=finding)
    (one,) = answers(diagnosis(unsure), facts)
    assert isinstance(one.answer, ByHand)
    assert "the words only fit it" in one.answer.because
    (named,) = answers(diagnosis(unsure), facts, "gpu-node-taint-not-tolerated")
    assert named.answer == ByHand(because="who may go to a tainted node is for its owner to say", do="do this")


def test_two_changes_of_the_spec_add_up() -> None:
    agent = {
        "namespace": "gpuready-system",
        "name": "gpuready-agent-a1",
        "images": ["r.example/gpuready:1"],
        "args": ["agent", "--nvidia-smi=/usr/bin/nvidia-smi"],
        "device_plugin_dir": True,
        "placement": {},
    }
    nodes = [{"name": n, "taints": [{"key": n, "effect": "NoSchedule"}]} for n in ("a", "b")]
    facts = build({"cluster": {"daemonsets": [agent], "nodes": nodes}, "inventory": {"setup": {}}})
    at = "ds/gpuready-system/gpuready-agent-a1"
    two = [
        msgspec.structs.replace(found(at=at), finding=Finding(at=at, says="s", evidence=("e",), nodes=(n,)))
        for n in ("a", "b")
    ]
    said = [one.answer for one in answers(diagnosis(*two), facts)]
    assert [s.value for s in said if isinstance(s, Respec)] == [
        "[{key: a, operator: Exists, effect: NoSchedule}]",
        "[{key: a, operator: Exists, effect: NoSchedule}, {key: b, operator: Exists, effect: NoSchedule}]",
    ]


def test_a_rule_that_is_named_must_be_a_cause() -> None:
    root, follows = found("a-root", "node/x", "node"), found("a-symptom", "pod/y", "compute")
    seen = Diagnosis(causes=(Cause(found=root, so=(follows,)),))
    assert unfixable("", seen) is None
    assert unfixable("a-root", seen) is None
    asked = (unfixable("a-symptom", seen), unfixable("other", seen), unfixable("other", Diagnosis()))
    assert [error.what for error in asked if error] == [
        "a-symptom only follows from a-root",
        "the doctor does not find other; found: a-root",
        "the doctor does not find other",
    ]


# -- the journal


def run_of(step: Step, *, intent: Intent, receipt: Receipt, start: Inventory, end: str = "done") -> Run:
    plan = Plan(cluster_uid="u", purpose="mend", spec_digest="", stages=(Stage(name="x", steps=(step,)),))
    entries = [
        Start(run="r", purpose="mend", at="t", holder="h", version="0", inventory=start),
        Planned(at="t", plan=plan, setup=Setup()),
        intent,
        receipt,
        *([End(at="t", outcome=end)] if end else []),
    ]
    run = replay(entries)
    assert run is not None
    return run


EDIT = Step(
    id="mend x: edit",
    verb="change",
    target="ds/nvidia/nvdp",
    action=Edit(DS, to={"/spec/a": 1}, uid="u-1", seen={"/spec/a": None}),
    why="because",
)
INTENT = Intent(at="t", step=EDIT.id, existed=True, uid="u-1", before={"/spec/a": None})
RECEIPT = Receipt(at="t", step=EDIT.id, uid="u-1")
OURS = Item(ref=DS, uid="u-1", created=False, ours={"/spec/a": 1}, before={"/spec/a": None})


def test_what_a_finished_mend_changed_is_not_ours_but_the_undo_of_the_run_knows_it() -> None:
    run = run_of(EDIT, intent=INTENT, receipt=RECEIPT, start=Inventory())
    assert run.inventory == Inventory()
    assert run.touched == Inventory(items=(OURS,))
    back = go_back(run.touched, run.start.inventory, setup=Setup(), cluster_uid="u", purpose="undo")
    assert [s.action for s in back.steps] == [Restore(DS, "u-1", {"/spec/a": 1}, {"/spec/a": None})]


def test_an_unfinished_mend_is_still_on_our_books() -> None:
    assert run_of(EDIT, intent=INTENT, receipt=RECEIPT, start=Inventory(), end="").inventory.items == (OURS,)
    assert run_of(EDIT, intent=INTENT, receipt=RECEIPT, start=Inventory(), end="failed").inventory.items == (OURS,)


def test_what_may_have_been_done_before_its_receipt_was_written_is_taken_back_too() -> None:
    plan = Plan(cluster_uid="u", purpose="mend", spec_digest="", stages=(Stage(name="x", steps=(EDIT,)),))
    start = Start(run="r", purpose="mend", at="t", holder="h", version="0", inventory=Inventory())
    run = replay([start, Planned(at="t", plan=plan, setup=Setup()), INTENT])
    assert run is not None
    assert run.touched.items == (OURS,)


def test_a_value_that_the_api_server_keeps_in_another_form_is_known_in_that_form() -> None:
    receipt = Receipt(at="t", step=EDIT.id, uid="u-1", facts={"/spec/a": "1"})
    assert run_of(EDIT, intent=INTENT, receipt=receipt, start=Inventory()).touched.items[0].ours == {"/spec/a": "1"}


LABEL = "/metadata/labels/gpuready.dev~1agent"


def test_a_mended_node_that_has_our_agent_keeps_it_on_the_way_back() -> None:
    mine = Item(ref=NODE, uid="n-1", created=False, ours={LABEL: "a1"}, before={LABEL: None})
    step = Step(
        id="mend x: unlabel",
        verb="unlabel",
        target="node/gpu-1",
        action=Edit(NODE, to={"/metadata/labels/gpu": None}, uid="n-1", seen={"/metadata/labels/gpu": "yes"}),
        why="because",
    )
    intent = Intent(at="t", step=step.id, existed=True, uid="n-1", before={"/metadata/labels/gpu": "yes"})
    receipt = Receipt(at="t", step=step.id, uid="n-1")
    run = run_of(step, intent=intent, receipt=receipt, start=Inventory(items=(mine,)))
    assert run.inventory.items == (mine,)
    back = go_back(run.touched, run.start.inventory, setup=Setup(), cluster_uid="u", purpose="undo")
    label = "/metadata/labels/gpu"
    assert [s.action for s in back.steps] == [Restore(NODE, "n-1", {label: None}, {label: "yes"})]


def test_a_node_that_is_not_ours_is_only_given_its_label_back() -> None:
    """No probe, no unlabelling of an agent that was never there."""
    other = Item(ref=NODE, uid="n-1", created=False, ours={"/metadata/labels/gpu": None}, before={})
    back = go_back(Inventory(items=(other,)), Inventory(), setup=Setup(), cluster_uid="u", purpose="undo")
    assert [s.verb for s in back.steps] == ["restore"]


def test_a_mend_that_is_being_taken_back_is_open() -> None:
    run = run_of(EDIT, intent=INTENT, receipt=RECEIPT, start=Inventory())
    back = go_back(run.touched, run.start.inventory, setup=Setup(), cluster_uid="u", purpose="undo")
    entries = [run.start, Planned(at="t", plan=run.plan, setup=Setup()), INTENT, RECEIPT, End(at="t", outcome="done")]  # type: ignore[arg-type]
    again = replay([*entries, Planned(at="t", plan=back, setup=Setup())])
    assert again is not None
    assert again.open
    step = back.steps[0].id
    done = replay(
        [
            *entries,
            Planned(at="t", plan=back, setup=Setup()),
            Intent(at="t", step=step),
            Receipt(at="t", step=step),
            End(at="t", outcome="undone"),
        ]
    )
    assert done is not None
    assert (done.open, done.inventory) == (False, Inventory())


# -- what came of it


def test_words_from_before_the_mend_do_not_count_and_those_without_a_time_do() -> None:
    old = Line(text="denied", source="event", about="ds/a", at="2026-11-23T09:00:00Z")
    again = msgspec.structs.replace(old, at="2026-11-23T09:05:00Z")
    state = Line(text="waits", source="status", about="pod/a", at="2026-11-23T09:00:00Z")
    timeless = Line(text="no NVML", source="log", about="pod/a")
    before = {"said": Said(lines=(old, state, timeless))}
    after = {"said": Said(lines=(old, again, state, timeless))}
    assert since(before, after)["said"].lines == (again, state, timeless)


def held(*pods: Json) -> dict[str, Any]:
    nodes = [{"name": "gpu-4", "capacity": {"nvidia.com/gpu": 1}, "allocatable": {"nvidia.com/gpu": 1}}]
    lists: Json = {"features": [], "namespaces": [], "quotas": [], "crds": [], "runtime_classes": [], "events": []}
    return build({"cluster": {"nodes": nodes, "pods": list(pods), **lists}})


HOLDER = {
    "namespace": "ml",
    "name": "done",
    "node": "gpu-4",
    "restart_policy": "Never",
    "containers": [
        {"name": "main", "requests": {"nvidia.com/gpu": 1}, "state": "terminated:0"},
        {"name": "proxy", "state": "running", "ready": True},
    ],
}
REFUSED = {
    "namespace": "ml",
    "name": "next",
    "node": "gpu-4",
    "phase": "Failed",
    "reason": "UnexpectedAdmissionError",
    "containers": [{"requests": {"nvidia.com/gpu": 1}}],
}


def test_a_cause_is_mended_when_its_rule_is_silent_and_what_stays_is_told() -> None:
    before = diagnose(held(HOLDER, REFUSED))
    (cause,) = [c.found for c in before.causes if c.found.rule == "gpu-held-by-running-sidecar"]
    facts = held(REFUSED)
    (one,) = outcomes([cause], before, facts)
    assert one.state == "mended"
    after = diagnose(facts)
    assert left(after, [Answered(cause, Mend(steps=()))]) == tuple(c.found for c in after.causes)


def test_a_cause_that_is_found_elsewhere_now_is_still_there() -> None:
    before = diagnose(held(HOLDER, REFUSED))
    (cause,) = [c.found for c in before.causes if c.found.rule == "gpu-held-by-running-sidecar"]
    (one,) = outcomes([cause], before, held({**HOLDER, "name": "done-again"}, REFUSED))
    assert (one.state, one.says.partition(":")[0]) == ("still there", "pod/ml/done-again")


def test_what_cannot_be_read_afterwards_is_undetermined() -> None:
    before = diagnose(held(HOLDER, REFUSED))
    (cause,) = [c.found for c in before.causes if c.found.rule == "gpu-held-by-running-sidecar"]
    (one,) = outcomes([cause], before, build({"cluster": {"pods": {"unknown": "listing pods is forbidden"}}}))
    assert (one.state, one.says) == ("undetermined", "listing pods is forbidden")
    assert exit_code([one], [], Diagnosis()) == 3


def test_the_exit_code_speaks_of_what_is_left() -> None:
    by_hand = [Answered(found(), ByHand(because="b", do="d"))]
    assert exit_code([], by_hand, Diagnosis()) == 2
    assert exit_code([], [], diagnosis(found())) == 2
    assert exit_code([], [], Diagnosis()) == 0


def test_deleting_leaves_nothing_to_take_back() -> None:
    ref = Ref(api_version="v1", kind="Pod", name="done", namespace="ml")
    step = Step(id="mend x: delete", verb="delete", target="pod/ml/done", action=Delete(ref, "u-1"), why="because")
    run = run_of(step, intent=Intent(at="t", step=step.id), receipt=Receipt(at="t", step=step.id), start=Inventory())
    assert run.touched == Inventory()
