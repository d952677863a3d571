"""The table of verify, one row a GPU, made from the gates and from nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from gpuready.engine.verdicts import gpu_verdicts

from .facts import build

Row = tuple[str, str, str, str, str, str, bool, float | None]


def table(raw: dict[str, Any]) -> list[Row]:
    facts = build(raw)
    rows = gpu_verdicts(facts["chosen"], facts["probes"], facts["agents"], facts["nonce"])
    return [(r.node, r.uuid, r.scheduled, r.computed, r.verdict, r.note, r.replayed, r.seconds) for r in rows]


XID = "Xid 79 at 2026-11-23T09:14:00Z: GPU has fallen off the bus"
HELD = [{"namespace": "ml", "pod": "cuda-vectoradd"}]
PENDING = {"unknown": "pod/gpuready-compute-gpu-1 Pending: Insufficient nvidia.com/gpu"}


def agent(*gpus: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"agents": {"gpu-1": {"gpus": list(gpus), **more}}}


def probe(*gpus: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"probes": {"gpu-1": {"gpus": list(gpus), **more}}}


CASES: list[tuple[str, dict[str, Any], list[Row]]] = [
    (
        "a GPU that computed right is proved",
        {},
        [("gpu-1", "GPU-3f2a", "pass", "pass", "PASS", "", False, 2.8)],
    ),
    (
        "a replayed GPU passes and says so",
        probe({}, replayed=True),
        [("gpu-1", "GPU-3f2a", "pass", "pass", "PASS", "", True, 2.8)],
    ),
    (
        "a held GPU is undetermined and its neighbour is not",
        agent({}, {"uuid": "GPU-91bc", "held_by": HELD}),
        [
            ("gpu-1", "GPU-3f2a", "pass", "pass", "PASS", "", False, 2.8),
            ("gpu-1", "GPU-91bc", "-", "-", "UNDETERMINED", "held by ml/cuda-vectoradd", False, None),
        ],
    ),
    (
        "a GPU with a fault is not handed out",
        agent({}, {"uuid": "GPU-77d0", "health": "failed", "reason": XID}),
        [
            ("gpu-1", "GPU-3f2a", "pass", "pass", "PASS", "", False, 2.8),
            ("gpu-1", "GPU-77d0", "fail", "-", "FAIL", XID, False, None),
        ],
    ),
    (
        "wrong results fail one GPU only",
        agent({}, {"uuid": "GPU-91bc"}) | probe({"wrong": 3}, {"uuid": "GPU-91bc"}),
        [
            ("gpu-1", "GPU-3f2a", "pass", "fail", "FAIL", "3 of 1048576 results are wrong", False, 2.8),
            ("gpu-1", "GPU-91bc", "pass", "pass", "PASS", "", False, 2.8),
        ],
    ),
    (
        "a GPU that the agent does not list is of another machine",
        probe({}, {"uuid": "GPU-0000"}),
        [
            ("gpu-1", "GPU-3f2a", "pass", "pass", "PASS", "", False, 2.8),
            ("gpu-1", "GPU-0000", "pass", "pass", "FAIL", "the agent of this node does not list it", False, 2.8),
        ],
    ),
    (
        "an answer of another run proves nothing",
        probe({}, nonce="n0"),
        [("gpu-1", "GPU-3f2a", "pass", "pass", "FAIL", "the probe's answer is not of this run", False, 2.8)],
    ),
    (
        "a probe that was never scheduled leaves its GPU undetermined",
        {"probes": {"gpu-1": PENDING}},
        [("gpu-1", "GPU-3f2a", "-", "-", "UNDETERMINED", PENDING["unknown"], False, None)],
    ),
    (
        "a GPU that computed right and whose health is not known is undetermined",
        agent({"health": "unknown", "reason": "NVML does not answer"}),
        [("gpu-1", "GPU-3f2a", "pass", "pass", "UNDETERMINED", "NVML does not answer", False, 2.8)],
    ),
    (
        "without the agent's answer nobody knows whose GPU it is",
        {"agents": {"gpu-1": {"unknown": "agent does not answer"}}},
        [("gpu-1", "GPU-3f2a", "-", "pass", "UNDETERMINED", "agent does not answer", False, 2.8)],
    ),
    (
        "a node of which nothing is known has one row",
        {"agents": {"gpu-1": {"unknown": "agent does not answer"}}, "probes": {"gpu-1": PENDING}},
        [("gpu-1", "?", "-", "-", "UNDETERMINED", "agent does not answer", False, None)],
    ),
    (
        "a node without any GPU fails",
        agent() | probe(),
        [("gpu-1", "?", "-", "-", "FAIL", "the agent finds no GPU on this node", False, None)],
    ),
    (
        "a probe that could run nothing fails every GPU that was free",
        agent({}, {"uuid": "GPU-91bc", "held_by": HELD}) | probe(error="cuInit: CUDA_ERROR_NO_DEVICE (100)"),
        [
            ("gpu-1", "GPU-3f2a", "fail", "fail", "FAIL", "cuInit: CUDA_ERROR_NO_DEVICE (100)", False, None),
            ("gpu-1", "GPU-91bc", "-", "-", "UNDETERMINED", "held by ml/cuda-vectoradd", False, None),
        ],
    ),
    (
        "nodes come in order, one that nobody reports on too",
        {"chosen": ["gpu-2", "gpu-1"]},
        [
            ("gpu-1", "GPU-3f2a", "pass", "pass", "PASS", "", False, 2.8),
            ("gpu-2", "?", "-", "-", "UNDETERMINED", "the agent was not asked", False, None),
        ],
    ),
]


@pytest.mark.parametrize(("facts", "rows"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_table(facts: dict[str, Any], rows: list[Row]) -> None:
    assert table(facts) == rows
