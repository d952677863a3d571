"""Each case is a life of one GPU: what happens at which second, and the state after it."""

from __future__ import annotations

from typing import Any

import pytest

from gpuready.model.unknown import Unknown
from gpuready.node.gpus import Vitals
from gpuready.node.health import Fault, Health, Policy, after_look, after_xid, policy

OLD_DRIVER = Vitals(recovery=Unknown("Not Supported"), remap_failed=False, energy_mj=5000)
NEW_DRIVER = Vitals(recovery=0, remap_failed=False, energy_mj=5000)
LOST = Vitals(error="GPU is lost")
AT = "2026-11-23T09:14:00Z"


def vitals(**changes: Any) -> Vitals:
    told: dict[str, Any] = {"recovery": 0, "remap_failed": False, "energy_mj": 5000}
    return Vitals(**(told | changes))


def live(happened: list[tuple[float, int | Vitals]], rules: Policy | None = None) -> list[str]:
    """The state after each happening: an Xid, or a look that found these vitals."""
    health, states, last = Health(), [], NEW_DRIVER
    for now, what in happened:
        if isinstance(what, Vitals):
            health, last = after_look(health, what, now), what
        else:
            health = after_xid(health, what, AT, now, last, rules or Policy())
        states.append(health.state)
    return states


CASES: list[tuple[str, list[tuple[float, int | Vitals]], list[str]]] = [
    ("a GPU that answers is well", [(0, NEW_DRIVER)], ["ok"]),
    *(
        (f"Xid {number} is the program's affair", [(0, NEW_DRIVER), (1, number)], ["ok", "ok"])
        for number in (13, 31, 43, 45, 68, 109, 63, 92, 94, 154)
    ),
    *(
        (f"Xid {number} takes the GPU out", [(0, NEW_DRIVER), (1, number)], ["ok", "failed"])
        for number in (46, 48, 62, 64, 74, 79, 95, 119, 120, 140, 143, 158)
    ),
    ("a number that the catalogue does not know takes it out", [(1, 9999)], ["failed"]),
    (
        "driver 565 and later: 48 is over when the driver says that no action is due, after a quiet minute",
        [(0, NEW_DRIVER), (1, 48), (2, vitals(recovery=1)), (40, NEW_DRIVER), (99, NEW_DRIVER), (100, NEW_DRIVER)],
        ["ok", "failed", "failed", "failed", "failed", "ok"],
    ),
    (
        "older drivers: time alone never clears 48",
        [(0, OLD_DRIVER), (1, 48), (10, OLD_DRIVER), (100_000, OLD_DRIVER)],
        ["ok", "failed", "failed", "failed"],
    ),
    (
        "older drivers: the energy counter began anew, so the driver was loaded anew",
        [
            (0, OLD_DRIVER),
            (1, 48),
            (10, vitals(recovery=Unknown("x"), energy_mj=7)),
            (70, vitals(recovery=Unknown("x"), energy_mj=90)),
        ],
        ["ok", "failed", "failed", "ok"],
    ),
    (
        "46 is not tracked by the recovery action: saying none proves nothing, the energy counter does",
        [(0, NEW_DRIVER), (1, 46), (10, NEW_DRIVER), (1000, NEW_DRIVER), (1010, vitals(energy_mj=1))],
        ["ok", "failed", "failed", "failed", "ok"],
    ),
    (
        "a new Xid during the quiet minute begins it anew",
        [(0, NEW_DRIVER), (1, 48), (5, NEW_DRIVER), (50, 48), (66, NEW_DRIVER), (125, NEW_DRIVER), (126, NEW_DRIVER)],
        ["ok", "failed", "failed", "failed", "failed", "failed", "ok"],
    ),
    (
        "a GPU that does not answer is failed, and well again after a quiet minute of answers",
        [(0, NEW_DRIVER), (10, LOST), (20, NEW_DRIVER), (79, NEW_DRIVER), (80, NEW_DRIVER)],
        ["ok", "failed", "failed", "failed", "ok"],
    ),
    (
        "off the bus with 79 and back without a reset is not well",
        [(0, OLD_DRIVER), (1, 79), (2, LOST), (10, OLD_DRIVER), (1000, OLD_DRIVER)],
        ["ok", "failed", "failed", "failed", "failed"],
    ),
    ("at the agent's start the driver already asks for a reset", [(0, vitals(recovery=1))], ["failed"]),
    ("an action of a later driver that is not known here counts", [(0, vitals(recovery=42))], ["failed"]),
    ("peers to be drained: the GPU itself computes", [(0, vitals(recovery=3))], ["ok"]),
    ("row remapping failed", [(0, vitals(remap_failed=True))], ["failed"]),
    (
        "what the driver cannot say is held against nobody",
        [(0, Vitals(recovery=Unknown("x"), remap_failed=Unknown("x"), energy_mj=Unknown("x")))],
        ["ok"],
    ),
    (
        "a number that the catalogue does not know is over after a clean minute",
        [(0, 9999), (1, NEW_DRIVER), (61, NEW_DRIVER)],
        ["failed", "failed", "ok"],
    ),
]


@pytest.mark.parametrize(("sentence", "happened", "expected"), CASES, ids=[case[0] for case in CASES])
def test_life(sentence: str, happened: list[tuple[float, int | Vitals]], expected: list[str]) -> None:
    assert live(happened) == expected, sentence


def test_reason_and_state_go_together() -> None:
    fault = Fault(reason="Xid 79")
    told = {
        "ok": Health(),
        "a fault": Health(fault=fault, blocked="no node", blind="blind"),
        "blocked": Health(blocked="no node", blind="blind"),
        "blind": Health(blind="blind"),
    }
    assert {name: (one.state, one.reason) for name, one in told.items()} == {
        "ok": ("ok", ""),
        "a fault": ("failed", "Xid 79"),
        "blocked": ("failed", "no node"),
        "blind": ("unknown", "blind"),
    }


def test_the_reason_names_the_xid_its_time_and_its_meaning() -> None:
    health = after_xid(Health(), 79, AT, 0, None, Policy())
    assert health.reason == "Xid 79 at 2026-11-23T09:14:00Z: GPU has fallen off the bus"
    assert after_look(health, LOST, 1).reason == health.reason, "the consequence does not hide the cause"
    assert after_xid(health, 9999, AT, 1, None, Policy()).reason == health.reason, "the graver one stays"
    assert after_xid(health, 95, AT, 1, None, Policy()).reason.startswith("Xid 95 "), "of two grave ones the later"
    assert after_look(Health(), LOST, 1).reason == "the GPU does not answer: GPU is lost"
    assert after_look(Health(), vitals(recovery=2), 1).reason == "the driver asks for: node reboot"


@pytest.mark.parametrize(
    ("sentence", "disable", "enable", "counted", "not_counted"),
    [
        ("by default", "", "", {48, 79, 9999}, {13, 31, 43, 45, 68, 109, 94}),
        ("all off", "all", "", set(), {48, 79, 13}),
        ("in any case of letters, and by the other word", " XIDS ", "", set(), {48, 79}),
        ("a list adds to the ignored ones", "79, 95", "", {48}, {79, 95, 13}),
        ("what is no number is ignored", "79,x,,-1,²,999999999", "", {48, 1}, {79}),
        ("one of the ignored ones on", "", "109,43", {109, 43, 79}, {13}),
        ("all on", "", "All", {13, 94, 79}, set()),
        ("all off but one", "all", "79", {79}, {48}),
        ("all on goes before all off", "all", "all", {48, 13}, set()),
    ],
)
def test_policy(sentence: str, disable: str, enable: str, counted: set[int], not_counted: set[int]) -> None:
    rules = policy(disable, enable)
    assert {number for number in counted | not_counted if rules.counts(number)} == counted, sentence


@pytest.mark.parametrize(
    ("sentence", "happened", "now", "expected"),
    [
        ("nothing happened", [], 0, 0),
        ("an Xid of a program shows for five minutes", [(10, 31)], 309, 31),
        ("and then no longer", [(10, 31)], 311, 0),
        ("one that stands shows as long as it stands", [(10, 79)], 100_000, 79),
        ("it goes with the fault", [(0, NEW_DRIVER), (10, 48), (11, NEW_DRIVER), (71, NEW_DRIVER)], 72, 0),
    ],
)
def test_the_metric_shows_the_last_xid(sentence: str, happened: list, now: float, expected: int) -> None:
    health, last = Health(), NEW_DRIVER
    for at, what in happened:
        health = (
            after_look(health, what, at)
            if isinstance(what, Vitals)
            else after_xid(health, what, AT, at, last, Policy())
        )
    assert health.shown_xid(now) == expected, sentence
