from __future__ import annotations

import pytest
from node_builders import gpu, injection, snapshot, uuid, well

from gpuready.model.unknown import Unknown
from gpuready.node.condition import Change, Condition, changes, condition, condition_object, event_object
from gpuready.node.gpus import Refused, Snapshot, Vitals
from gpuready.node.health import Fault, Health
from gpuready.node.judge import Scan, View, blinded, judged

XID = Health(fault=Fault(reason="Xid 79 at T: GPU has fallen off the bus", xid=79))
LOST = Health(fault=Fault(reason="the GPU does not answer: GPU is lost"))
TWO = [gpu(0), gpu(1)]


@pytest.mark.parametrize(
    ("sentence", "gpus", "health", "undescribed", "blind", "expected"),
    [
        (
            "all well",
            TWO,
            {},
            {},
            "",
            Condition(status="True", reason="AllHealthy", message="2 of 2 answer and no error stands against them"),
        ),
        (
            "an Xid",
            TWO,
            {uuid(1): XID},
            {},
            "",
            Condition(status="False", reason="XidError", message=f"1 of 2 failed. {uuid(1)}: {XID.reason}"),
        ),
        (
            "a lost GPU without an Xid, and one that has no UUID",
            TWO,
            {uuid(0): LOST},
            {2: "GPU is lost"},
            "",
            Condition(
                status="False",
                reason="GPUFailed",
                message=f"2 of 3 failed. {uuid(0)}: {LOST.reason}; GPU 2: GPU is lost",
            ),
        ),
        (
            "events of one cannot be heard: neither well nor failed",
            TWO,
            {uuid(1): Health(blind="deaf")},
            {},
            "",
            Condition(status="Unknown", reason="NotWatched", message=f"1 of 2 unknown. {uuid(1)}: deaf"),
        ),
        (
            "NVML does not answer: whatever was known before",
            TWO,
            {uuid(1): XID},
            {},
            "driver not loaded",
            Condition(status="Unknown", reason="DriverNotReadable", message="driver not loaded"),
        ),
        (
            "the driver counts none",
            [],
            {},
            {},
            "",
            Condition(status="False", reason="NoGPU", message="the driver answers and counts no GPU"),
        ),
    ],
)
def test_condition(sentence: str, gpus: list, health: dict, undescribed: dict, blind: str, expected: Condition) -> None:
    assert condition(gpus, well(*gpus) | health, undescribed, blind) == expected, sentence


def test_message_is_bounded() -> None:
    told = condition([], {}, {}, "x" * 5000).message
    assert (len(told), told[-3:]) == (1000, "...")


def test_changes_are_told_once_and_not_that_a_gpu_is_well_at_first_sight() -> None:
    before = {uuid(0): Health(), uuid(1): XID, uuid(2): XID}
    after = {uuid(0): XID, uuid(1): Health(), uuid(2): XID, uuid(3): Health(), uuid(4): LOST}
    assert changes(before, after) == (
        Change(uuid=uuid(0), state="failed", reason=XID.reason),
        Change(uuid=uuid(1), state="ok", reason=""),
        Change(uuid=uuid(4), state="failed", reason=LOST.reason),
    )


def test_objects() -> None:
    told = Condition(status="False", reason="XidError", message="m")
    assert condition_object("n", told, "T1", "T2") == {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "n"},
        "status": {
            "conditions": [
                {
                    "type": "gpuready.dev/GPUHealthy",
                    "status": "False",
                    "reason": "XidError",
                    "message": "m",
                    "lastTransitionTime": "T1",
                    "lastHeartbeatTime": "T2",
                }
            ]
        },
    }
    made = event_object("n", name="n.1", reason="R", note="N", warning=True, now="T", instance="i" * 200)
    assert made == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "n.1", "namespace": "default"},
        "eventTime": "T",
        "reportingController": "gpuready.dev/agent",
        "reportingInstance": "i" * 128,
        "action": "Observed",
        "reason": "R",
        "regarding": {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "n"},
        "note": "N",
        "type": "Warning",
    }


def scan(told: Snapshot, *, unheard: dict[str, str] | None = None, vitals: dict[str, Vitals] | None = None) -> Scan:
    return Scan(
        snapshot=told,
        vitals={one.uuid: Vitals() for one in told.gpus} | (vitals or {}),
        injection=injection(*told.gpus),
        unheard=unheard or {},
        replayed=False,
    )


def states(view: View) -> dict[str, tuple[str, str]]:
    return {key: (one.state, one.reason) for key, one in view.health.items()}


def test_a_gpu_that_vanishes_stays_in_the_view_as_failed_and_the_others_are_untouched() -> None:
    first = judged(View(), scan(snapshot(gpu(0), gpu(1))), {}, 0)
    lost = Snapshot(driver="580.65.06", cuda="13.0", gpus=(gpu(0),), refused=(Refused(index=1, why="GPU is lost"),))
    then = judged(first, scan(lost), {}, 10)
    assert [one.uuid for one in then.gpus] == [uuid(0), uuid(1)]
    assert states(then) == {
        uuid(0): ("ok", ""),
        uuid(1): ("failed", "the GPU does not answer: the driver no longer lists it"),
    }
    assert (then.refused, then.undescribed()) == ({}, {}), "it has a UUID, so it is counted once"


def test_gpus_that_cannot_be_heard() -> None:
    view = judged(View(), scan(snapshot(*TWO), unheard={uuid(1): "deaf"}), {}, 0)
    assert states(view) == {uuid(0): ("ok", ""), uuid(1): ("unknown", "deaf")}
    view = judged(view, scan(snapshot(*TWO), unheard={"": "no event set"}), {}, 1)
    assert states(view) == {uuid(0): ("unknown", "no event set"), uuid(1): ("unknown", "no event set")}
    assert states(judged(view, scan(snapshot(*TWO)), {}, 2)) == {uuid(0): ("ok", ""), uuid(1): ("ok", "")}


def test_blinded_keeps_what_was_known_and_judged_lifts_it() -> None:
    view = judged(View(), scan(snapshot(*TWO)), {uuid(1): Fault(reason="Xid 48", xid=48)}, 0)
    dark = blinded(view, "driver not loaded")
    assert states(dark) == {uuid(0): ("unknown", "driver not loaded"), uuid(1): ("failed", "Xid 48")}
    assert (dark.gpus, dark.blind) == (view.gpus, "driver not loaded")
    assert states(judged(dark, scan(snapshot(*TWO)), {}, 1)) == {uuid(0): ("ok", ""), uuid(1): ("failed", "Xid 48")}


def test_what_an_earlier_agent_left_counts_once() -> None:
    left = {uuid(0): Fault(reason="Xid 48", xid=48, energy_mj=5000)}
    anew = Vitals(recovery=Unknown("x"), remap_failed=False, energy_mj=10)
    view = judged(View(), scan(snapshot(gpu(0)), vitals={uuid(0): anew}), left, 0)
    assert states(view) == {uuid(0): ("failed", "Xid 48")}
    view = judged(view, scan(snapshot(gpu(0)), vitals={uuid(0): anew}), left, 60)
    assert states(view) == {uuid(0): ("ok", "")}
    view = judged(view, scan(snapshot(gpu(0)), vitals={uuid(0): anew}), left, 70)
    assert states(view) == {uuid(0): ("ok", "")}
