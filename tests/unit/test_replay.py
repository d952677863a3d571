"""Replay: to the process that loads them, the replayed driver libraries are those that were recorded."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from replayed import CAPTURES, EIGHT, H100, IDENTITY, MIG, ask, start

from testbed.replay import ReplayedNode, ReplayError, attach, materialise

GPU = "n.nvmlDeviceGetHandleByIndex(0)"


@pytest.fixture
def h100(tmp_path: Path) -> ReplayedNode:
    return materialise(H100, tmp_path / "node")


@pytest.mark.parametrize("path", CAPTURES, ids=lambda p: p.stem)
def test_pynvml_sees_the_gpus_of_the_capture(path: Path, tmp_path: Path) -> None:
    node = materialise(path, tmp_path / "node")
    captured = [{k: v for k, v in g.items() if k not in ("handle", "cluster")} for g in node.gpus]
    for gpu in captured:
        gpu["mig"] = [{k: v for k, v in m.items() if k != "handle"} for m in gpu["mig"]]
    assert ask(node, IDENTITY) == captured


def test_both_libraries_say_that_they_replay(h100: ReplayedNode) -> None:
    names = ("libnvidia-ml.so.1", "libcuda.so.1", "libnvidia-ptxjitcompiler.so.1")
    code = f"say([ctypes.c_char_p.in_dll(ctypes.CDLL(l), 'gpuready_replay').value.decode() for l in {names}])"
    assert ask(h100, code, init=False) == ["replayed capture constructed-1xh100"] * 3


# nvmlReturn_t: 1 uninitialised, 2 invalid argument, 3 not supported, 6 not found, 7 too small, 13 function not found
@pytest.mark.parametrize(
    ("code", "answer"),
    [
        pytest.param("say(outcome('nvmlDeviceGetCount'))", 1, id="a question before init"),
        pytest.param("n.nvmlInit(); n.nvmlShutdown(); say(outcome('nvmlDeviceGetCount'))", 1, id="after shutdown"),
        pytest.param("n.nvmlInit(); say(outcome('nvmlDeviceGetHandleByIndex', 1))", 2, id="an index beyond the GPUs"),
        pytest.param("n.nvmlInit(); say(outcome('nvmlDeviceGetHandleByUUID', 'GPU-none'))", 6, id="a UUID of no GPU"),
        pytest.param("n.nvmlInit(); say(outcome('nvmlDeviceGetFanSpeed', GPU))", 3, id="what the GPU lacks"),
        pytest.param("n.nvmlInit(); say(outcome('nvmlDeviceSetPersistenceMode', GPU, 1))", 3, id="never recorded"),
        pytest.param("n.nvmlInit(); say(outcome('nvmlDeviceGetHostname_v1', GPU))", 13, id="newer than the driver"),
        pytest.param(
            "n.nvmlInit(); say(n.nvmlLib.nvmlDeviceGetName(GPU, ctypes.create_string_buffer(9), 9))",
            7,
            id="a buffer shorter than the name",
        ),
        pytest.param(
            "n.nvmlInit(); say(n.nvmlErrorString(15))", "GPU is lost", id="words for a code that no call returned"
        ),
    ],
)
def test_refusals(h100: ReplayedNode, code: str, answer: object) -> None:
    code = code.replace("GPU,", f"{GPU},").replace("GPU)", f"{GPU})")
    assert ask(h100, code, init=False) == answer


def test_an_event_reaches_the_process_that_listens(tmp_path: Path) -> None:
    """It hears of the GPUs it registered, once, in order; not of others and not of what was before."""
    node = materialise(EIGHT, tmp_path / "node")
    node.xid(3, 31)
    code = """
n.nvmlInit()
events = n.nvmlEventSetCreate()
for i in (3, 5):
    n.nvmlDeviceRegisterEvents(n.nvmlDeviceGetHandleByIndex(i), n.nvmlEventTypeXidCriticalError, events)
say("listening")
sys.stdin.readline()
for _ in range(2):
    e = n.nvmlEventSetWait_v2(events, 5000)
    say([n.nvmlDeviceGetIndex(e.device), e.eventType, e.eventData, e.gpuInstanceId])
say(outcome("nvmlEventSetWait_v2", events, 50))
"""
    process = start(node, code)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == "listening"
    for gpu, xid in ((0, 13), (5, 79), (3, 48)):
        attach(node.root).xid(gpu, xid)
    out, err = process.communicate("go\n", timeout=20)
    assert [json.loads(line) for line in out.splitlines()] == [[5, 8, 79, 0xFFFFFFFF], [3, 8, 48, 0xFFFFFFFF], 10], err


def test_only_event_types_that_the_gpu_supports_can_be_registered(h100: ReplayedNode) -> None:
    code = "s = n.nvmlEventSetCreate(); g = n.nvmlDeviceGetHandleByIndex(0)\n"
    assert ask(h100, code + "say([outcome('nvmlDeviceRegisterEvents', g, t, s) for t in (0x8, 0x9, 0x10)])") == [
        0,
        0,
        3,
    ]


def test_a_running_process_sees_a_gpu_fall_off_the_bus_and_come_back(tmp_path: Path) -> None:
    node = materialise(EIGHT, tmp_path / "node")
    code = """
n.nvmlInit()
a, b = n.nvmlDeviceGetHandleByIndex(1), n.nvmlDeviceGetHandleByIndex(2)
events = n.nvmlEventSetCreate()
n.nvmlDeviceRegisterEvents(a, 8, events)
say("ready")
for line in sys.stdin:
    fields = n.nvmlDeviceGetFieldValues(b, [82])[0].nvmlReturn
    say([outcome("nvmlDeviceGetUUID", a), outcome("nvmlDeviceGetFieldValues", a, [82]),
         outcome("nvmlDeviceGetHandleByIndex", 1), outcome("nvmlDeviceGetTopologyCommonAncestor", b, a),
         outcome("nvmlDeviceSetPersistenceMode", a, 1), outcome("nvmlEventSetWait_v2", events, 10),
         outcome("nvmlDeviceGetUUID", b), fields, n.nvmlDeviceGetCount()])
"""
    process = start(node, code)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    seen = []
    changes: tuple[Callable[[], None], ...] = (lambda: None, lambda: node.lose(1), node.restore)
    for change in changes:
        change()
        process.stdin.write("look\n")
        process.stdin.flush()
        seen.append(json.loads(process.stdout.readline()))
    process.communicate(timeout=20)
    healthy = [0, 0, 0, 0, 3, 10, 0, 0, 8]
    assert seen == [healthy, [15, 15, 15, 15, 15, 15, 0, 0, 8], healthy]


@pytest.mark.parametrize("code", [pytest.param(9, id="driver not loaded"), pytest.param(18, id="version mismatch")])
def test_nvml_does_not_start(h100: ReplayedNode, code: int) -> None:
    question = "say([outcome('nvmlInit'), outcome('nvmlDeviceGetCount')])"
    h100.refuse_init(code)
    refused = ask(h100, question, init=False)
    h100.restore()
    assert [refused, ask(h100, question, init=False)] == [[code, 1], [0, 0]]


def test_a_test_can_change_an_answer(h100: ReplayedNode) -> None:
    code = """g = n.nvmlDeviceGetHandleByIndex(0)
say([n.nvmlDeviceGetTemperature(g, 0), outcome("nvmlDeviceGetTemperature", g, 1), n.nvmlDeviceGetPowerUsage(g),
     n.nvmlDeviceGetFieldValues(g, [82])[0].value.uiVal, n.nvmlDeviceGetFieldValues(g, [(230, 0)])[0].value.uiVal])"""
    before = ask(h100, code)
    h100.answer(0, "nvmlDeviceGetTemperature", 93, given=(0,))
    h100.answer(0, "nvmlDeviceGetPowerUsage", 700_000)
    h100.field_value(0, 82, 95)
    h100.field_value(0, 230, 2)
    after = ask(h100, code)
    h100.restore()
    assert [before, after, ask(h100, code)] == [[31, 2, 69420, 39, 0], [93, 2, 700_000, 95, 2], [31, 2, 69420, 39, 0]]


def test_an_answer_that_was_not_captured_cannot_be_changed(h100: ReplayedNode) -> None:
    with pytest.raises(ReplayError, match="has no call of nvmlNothing for GPU 0"):
        h100.answer(0, "nvmlNothing", 1)


def test_the_library_alone_answers_from_what_was_compiled_in(h100: ReplayedNode) -> None:
    """A container that got the one file by bind mount."""
    real = h100.driver / "lib64" / f"libnvidia-ml.so.{h100.driver_version}"
    for path in (h100.driver / "lib64").iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path != real and "ml.so" in path.name and path.name != "libnvidia-ml.so.1":
            path.unlink()
    assert [g["uuid"] for g in ask(h100, IDENTITY)] == [g["uuid"] for g in h100.gpus]


def test_two_nodes_of_one_capture_have_gpus_of_their_own(tmp_path: Path) -> None:
    nodes = [materialise(MIG, tmp_path / n, node=n) for n in ("node1", "node2")]
    seen = [[d["uuid"] for g in ask(n, IDENTITY) for d in (g, *g["mig"])] for n in nodes]
    assert seen == [[d["uuid"] for g in n.gpus for d in (g, *g["mig"])] for n in nodes]
    assert set(seen[0]).isdisjoint(seen[1])
    for node, uuids in zip(nodes, seen, strict=True):
        information = node.proc_driver / "nvidia" / "gpus" / "0000:07:00.0" / "information"
        assert f"GPU UUID: \t {uuids[0]}\n" in information.read_text()


def test_the_files_of_the_node_are_laid_out(h100: ReplayedNode) -> None:
    device = h100.sys_pci / "0000:1b:00.0"
    names = ("vendor", "device", "class", "numa_node", "subsystem_vendor", "subsystem_device")
    read = {n: (device / n).read_text() for n in names}
    assert read == {
        "vendor": "0x10de\n",
        "device": "0x2330\n",
        "class": "0x030200\n",
        "numa_node": "0\n",
        "subsystem_vendor": "0x10de\n",
        "subsystem_device": "0x16c1\n",
    }
    assert os.path.basename(os.readlink(device / "driver")) == "nvidia"
    assert "580.65.06" in (h100.proc_driver / "nvidia" / "version").read_text()
    assert (h100.sys_module / "nvidia" / "version").read_text() == "580.65.06\n"
    library = h100.driver / "lib64" / "libnvidia-ml.so.1"
    assert os.readlink(library) == "libnvidia-ml.so.580.65.06"
    assert [tuple(d) for d in h100.device_nodes if d.name == "nvidia0"] == [("nvidia0", 195, 0)]


def test_nvidia_smi_lists_the_gpus(h100: ReplayedNode) -> None:
    done = subprocess.run([h100.driver / "bin" / "nvidia-smi", "-L"], capture_output=True, text=True, check=False)
    line = f"GPU 0: NVIDIA H100 80GB HBM3 (UUID: {h100.gpus[0]['uuid']})\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, line, "replayed\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not a capture"),
        ("[]", "is not a capture of version 1"),
        ('{"version": 2}', "is not a capture of version 1"),
        ('{"version": 1, "name": "a\\" -o /etc/passwd"}', "has no usable name"),
    ],
)
def test_what_is_no_capture_is_refused(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(ReplayError, match=says):
        materialise(path, tmp_path / "node")


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    with pytest.raises(ReplayError, match="is not empty"):
        materialise(H100, tmp_path)
