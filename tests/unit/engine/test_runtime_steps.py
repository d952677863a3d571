"""What a run has put into a node's runtime: known from its journal, wherever the run was cut off."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gpuready.engine.leave import go_back
from gpuready.engine.ledger import MEND, Run, replay
from gpuready.engine.runtime_steps import with_pod
from gpuready.model.facts.runtime import Entered, Written
from gpuready.model.journal import End, Entry, Intent, Inventory, Planned, Receipt, Start
from gpuready.model.plan import Plan, RuntimeEntry, Stage, Step
from gpuready.model.spec import Image, Setup

NOW = "2026-11-23T18:00:00Z"
SETUP = Setup(image=Image(reference="registry.example/gpuready@sha256:" + "0" * 64))
ENTRY = RuntimeEntry(
    node="gpu-4", runtime="containerd://2.2.9", handler="nvidia", binaries=("/usr/bin/nvidia-container-runtime",)
)
STEP = Step(id=f"{MEND}x", verb="configure", target="node/gpu-4", action=with_pod(ENTRY, SETUP), why="it is not there")
START = Start(run="r1", purpose="mend", at=NOW, holder="me", version="0", inventory=Inventory())
INTENT = Intent(at=NOW, step=STEP.id, existed=True)
RECEIPT = Receipt(at=NOW, step=STEP.id)


def planned(step: Step) -> Planned:
    plan = Plan(cluster_uid="c", purpose="mend", spec_digest="", stages=(Stage(name="x", steps=(step,)),))
    return Planned(at=NOW, plan=plan, setup=SETUP)


def run_of(entries: Sequence[Entry]) -> Run:
    run = replay(entries)
    assert run is not None
    return run


def way_back(run: Run) -> tuple[Step, ...]:
    return go_back(run.touched, run.start.inventory, setup=SETUP, cluster_uid="c", purpose="undo").steps


@pytest.mark.parametrize(
    ("entries", "steps"),
    [
        pytest.param([START, planned(STEP)], [], id="nothing was begun"),
        pytest.param([START, planned(STEP), INTENT], ["nvidia"], id="begun: it may have been done"),
        pytest.param([START, planned(STEP), INTENT, RECEIPT], ["nvidia"], id="done"),
    ],
)
def test_the_way_back_takes_out_what_may_have_been_put_in(entries: list[Entry], steps: list[str]) -> None:
    back = way_back(run_of(entries))
    actions = [RuntimeEntry(node="gpu-4", runtime="containerd://2.2.9", handler=name) for name in steps]
    assert [s.action for s in back] == [with_pod(a, SETUP) for a in actions]
    assert [(s.target, s.interrupts, s.consent) for s in back] == [
        ("node/gpu-4", "containerd for seconds, no container", "restart-runtime") for _ in steps
    ]


def test_what_was_taken_out_again_is_not_ours() -> None:
    done = [START, planned(STEP), INTENT, RECEIPT]
    (out,) = way_back(run_of(done))
    undone = [*done, planned(out), Intent(at=NOW, step=out.id, existed=True), Receipt(at=NOW, step=out.id)]
    assert run_of(undone).touched.items == ()


def test_a_mend_that_has_ended_stays_when_we_leave() -> None:
    ended = run_of([START, planned(STEP), INTENT, RECEIPT, End(at=NOW, outcome="done")])
    assert ended.inventory.items == ()
    assert [item.ref.name for item in ended.touched.items] == ["gpu-4.nvidia"]


def test_the_pod_has_the_rights_that_it_needs_and_no_more() -> None:
    spec = with_pod(ENTRY, SETUP).pod["spec"]
    (container,) = spec["containers"]
    assert (spec["hostPID"], spec["automountServiceAccountToken"], spec.get("hostNetwork")) == (True, False, None)
    assert [volume["hostPath"]["path"] for volume in spec["volumes"]] == ["/etc/containerd"]
    assert "privileged" not in container["securityContext"]
    assert container["securityContext"]["capabilities"] == {
        "drop": ["ALL"],
        "add": ["DAC_OVERRIDE", "KILL", "SYS_CHROOT", "SYS_PTRACE"],
    }


@pytest.mark.parametrize(
    ("done", "says"),
    [
        (Entered(node="n", handler="nvidia"), "nothing to write"),
        (
            Entered(node="n", handler="nvidia", files=(Written(path="/a", before="", after="1"),), away=2.4),
            "wrote /a; the runtime was away 2 s",
        ),
        (
            Entered(node="n", handler="nvidia", files=(Written(path="/a", before="1", after=""),), left=("/b",)),
            "removed /a; left as somebody changed it since: /b",
        ),
    ],
)
def test_what_was_done_is_said_in_words(done: Entered, says: str) -> None:
    assert str(done) == says
