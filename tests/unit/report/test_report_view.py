"""Status and verification: what is counted, said and left open."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from report_samples import FELL_OFF, HELD_POD, HOLDER, NOW, VERDICTS, gpu, report

from gpuready.model.facts.agent import Holder
from gpuready.model.unknown import Unknown
from gpuready.model.verdict import GpuVerdict
from gpuready.report.status_text import status_text, summary
from gpuready.report.verify_text import outcome, short_uuids, verify_text
from gpuready.report.view import age, short, short_model, short_times, status_view


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("NVIDIA H100 80GB HBM3", "H100 80GB"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA A100-SXM4-80GB", "A100 80GB"),
        ("NVIDIA A100-PCIE-40GB", "NVIDIA A100-PCIE-40GB"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA GH200 480GB", "GH200 480GB"),
        ("NVIDIA B200", "B200"),
        ("Tesla V100-SXM2-16GB", "V100 16GB"),
        ("Tesla T4", "T4"),
        ("NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090"),
        ("Graphics Device", "Graphics Device"),
        ("", ""),
    ],
)
def test_model_names(name: str, shown: str) -> None:
    assert short_model(name) == shown


FREE = gpu(0, "GPU-1")
HELD = gpu(0, "GPU-1", held=(HOLDER,))
OTHER = Holder(namespace="ml", pod="sd-0", container="main")
SHARED = gpu(0, "GPU-1", held=(HOLDER, HOLDER, OTHER))
READY = msgspec.structs.replace(HELD_POD, containers=(msgspec.structs.replace(HELD_POD.containers[2], name="main"),))
GOING = msgspec.structs.replace(READY, terminating=True)
STALE = "2026-11-23T18:20:00Z"


@pytest.mark.parametrize(
    ("why", "answer", "pods", "row", "counted"),
    [
        ("free", report("n", FREE), (), "ok - free", "0 held, 1 free, 0 failed"),
        ("held by a pod that works", report("n", HELD), (READY,), "ok ml/cuda-vectoradd", "1 held, 0 free, 0 failed"),
        ("held by a pod that does not", report("n", HELD), (HELD_POD,),
         "ok ml/cuda-vectoradd 1/2 NotReady for 9h", "1 held, 0 free, 0 failed"),
        ("held by a pod that goes", report("n", HELD), (GOING,), "ok ml/cuda-vectoradd terminating",
         "1 held, 0 free, 0 failed"),
        ("held by a pod that the API does not know", report("n", HELD), (),
         "ok ml/cuda-vectoradd ml/cuda-vectoradd is not in the API", "1 held, 0 free, 0 failed"),
        ("pods not read", report("n", HELD), Unknown("forbidden"), "ok ml/cuda-vectoradd readiness of its pod not read",
         "1 held, 0 free, 0 failed"),
        ("held by two", report("n", SHARED), (READY, msgspec.structs.replace(READY, name="sd-0")),
         "ok ml/cuda-vectoradd +1", "1 held, 0 free, 0 failed"),
        ("holders unknown is not free", report("n", gpu(0, "u", held=Unknown("PodResources: no socket"))), (),
         "ok ? PodResources: no socket", "0 held, 0 free, 0 failed, 1 unknown"),
        ("failed counts as failed also while held", report("n", gpu(0, "u", "failed", FELL_OFF, (HOLDER,))), (READY,),
         "failed ml/cuda-vectoradd Xid 79 at 09:14Z: GPU has fallen off the bus", "0 held, 0 free, 1 failed"),
        ("health unknown is not ok", report("n", gpu(0, "u", "unknown", "NVML: timeout")), (),
         "unknown - NVML: timeout", "0 held, 0 free, 0 failed, 1 unknown"),
        ("a word for health that we do not know is not ok", report("n", gpu(0, "u", "fine")), (),
         "unknown - the agent gives no reason", "0 held, 0 free, 0 failed, 1 unknown"),
        ("not registered", report("n", FREE, registered=False), (), "ok - free; not registered with the kubelet",
         "0 held, 1 free, 0 failed"),
        ("old", report("n", FREE, as_of=STALE), (), "ok - free; as of 10m ago", "0 held, 1 free, 0 failed"),
        ("of no time", report("n", FREE, as_of="now"), (), "ok - free; age of this report unknown",
         "0 held, 1 free, 0 failed"),
        ("replayed", report("n", FREE, replayed=True), (), "ok - free; replayed", "0 held, 1 free, 0 failed"),
        ("silent", Unknown("agent silent for 4m"), (), "? ? agent silent for 4m",
         "0 held, 0 free, 0 failed; 1 node unknown"),
        ("no answer from NVML", report("n", gpus=Unknown("NVML: driver not loaded")), (), "? ? NVML: driver not loaded",
         "0 held, 0 free, 0 failed; 1 node unknown"),
        ("looked, none there", report("n"), (), "- - the agent finds no GPU", "0 held, 0 free, 0 failed"),
    ],
)  # fmt: skip
def test_status_of_one_gpu(why: str, answer: Any, pods: Any, row: str, counted: str) -> None:
    view = status_view({"n": answer}, pods, NOW)
    (only,) = view.rows
    assert f"{only.health} {only.held_by} {only.note}".rstrip() == row, why
    assert summary(view) == counted, why


def test_nodes_stand_in_natural_order() -> None:
    names = ["gpu-10", "gpu-2", "gpu-1", "a", "gpu-2b"]
    view = status_view({n: Unknown("x") for n in names}, (), NOW)
    assert [r.node for r in view.rows] == ["a", "gpu-1", "gpu-2", "gpu-2b", "gpu-10"]
    assert summary(view) == "0 held, 0 free, 0 failed; 5 nodes unknown"


def test_status_of_nothing_leads_on() -> None:
    text = status_text(status_view({}, (), NOW), next="gpuready up")
    assert text == "no GPU node is set up in this cluster; next: gpuready up"


def test_a_hostile_agent_cannot_write_to_the_terminal() -> None:
    bad = report("n\x1b[2J", gpu(0, "u", "failed", "\x1b]0;x\x07\n\nok"), as_of="\x1b[1m")
    assert "\x1b" not in status_text(status_view({"n": bad}, (), NOW))


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86400, "24h"), (2 * 86400, "2d")],
)
def test_short_spans(seconds: int, shown: str) -> None:
    assert short(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize(
    ("at", "old"),
    [
        ("2026-11-23T18:29:00Z", timedelta(minutes=1)),
        ("2026-11-23T19:29:00+01:00", timedelta(minutes=1)),
        ("2026-11-23T18:31:00Z", timedelta(0)),
        ("2026-11-23T18:29:00", None),
        ("", None),
    ],
)
def test_age(at: str, old: timedelta | None) -> None:
    assert age(at, NOW) == old


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (FELL_OFF, "Xid 79 at 09:14Z: GPU has fallen off the bus"),
        ("at 2026-11-22T09:14:00Z", "at 11-22 09:14Z"),
        ("at 2025-11-22T09:14:00Z", "at 2025-11-22 09:14Z"),
        ("at 2026-99-99T09:14:00Z", "at 2026-99-99T09:14:00Z"),
        ("no time", "no time"),
    ],
)
def test_short_times(text: str, shown: str) -> None:
    assert short_times(text, datetime(2026, 11, 23, tzinfo=UTC)) == shown


def verdict(word: Any, replayed: bool = False, uuid: str = "GPU-3f2a9c01-8a55") -> GpuVerdict:
    return GpuVerdict(
        node="gpu-1", uuid=uuid, scheduled="pass", computed="pass", verdict=word, replayed=replayed, seconds=1.0
    )


@pytest.mark.parametrize(
    ("why", "verdicts", "word", "code"),
    [
        ("all pass", (verdict("PASS"), verdict("PASS")), "PASS", 0),
        ("one is replayed", (verdict("PASS"), verdict("PASS", replayed=True)), "PASS (replayed)", 0),
        ("one could not be decided", (verdict("PASS"), verdict("UNDETERMINED")), "UNDETERMINED", 3),
        ("one failed", (verdict("UNDETERMINED"), verdict("FAIL")), "FAIL", 2),
        ("none", (), "UNDETERMINED", 3),
    ],
)
def test_outcome(why: str, verdicts: tuple[GpuVerdict, ...], word: str, code: int) -> None:
    assert outcome(verdicts)[:2] == (word, code), why


def test_a_replayed_gpu_is_never_a_plain_pass() -> None:
    assert verify_text([verdict("PASS", replayed=True)], width=80) == (
        "NODE   GPU           SCHEDULED  COMPUTED  VERDICT          TIME\n"
        "gpu-1  GPU-3f2a9c01  pass       pass      PASS (replayed)  1.0 s\n"
        "PASS (replayed) (exit 0)"
    )


def test_a_verification_of_nothing_says_so() -> None:
    assert verify_text([], next="gpuready up") == "no GPU was verified; UNDETERMINED (exit 3); next: gpuready up"


def test_probes_that_stayed_are_seen() -> None:
    from gpuready.report.verify_text import Probes

    assert verify_text(VERDICTS, probes=Probes(2, 1)).splitlines()[-1] == "1 of 2 probes removed; FAIL (exit 2)"


@pytest.mark.parametrize(
    ("why", "uuids", "shown"),
    [
        ("eight digits", ["GPU-3f2a9c01-8a55", "GPU-91bc0d11-8a55"], ["GPU-3f2a9c01", "GPU-91bc0d11"]),
        ("more where eight are the same", ["GPU-3f2a9c01-8a55", "GPU-3f2a9c01-8b55"],
         ["GPU-3f2a9c01-8a", "GPU-3f2a9c01-8b"]),
        ("the same GPU twice is one", ["GPU-3f2a9c01-8a55", "GPU-3f2a9c01-8a55"], ["GPU-3f2a9c01", "GPU-3f2a9c01"]),
        ("one that begins like the other", ["GPU-3f2a9c01", "GPU-3f2a9c01-8"], ["GPU-3f2a9c01", "GPU-3f2a9c01-8"]),
        ("MIG", ["MIG-3f2a9c01-8a55"], ["MIG-3f2a9c01"]),
        ("unknown", ["?"], ["?"]),
        ("another form is kept", ["weird-3f2a9c01-8a55"], ["weird-3f2a9c01-8a55"]),
    ],
)  # fmt: skip
def test_short_uuids(why: str, uuids: list[str], shown: list[str]) -> None:
    assert [short_uuids(uuids)[u] for u in uuids] == shown, why
