"""Capture and replay: to the process that loads them, the replayed driver libraries are those that were recorded."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed import capture, redact
from testbed.replay import ReplayedNode, ReplayError, attach, materialise

ROOT = Path(capture.__file__).resolve().parent.parent
CAPTURES = sorted((ROOT / "testbed" / "captures").glob("*.json"))
H100, EIGHT, MIG = (ROOT / "testbed" / "captures" / f"constructed-{n}.json" for n in ("1xh100", "8xh100", "1xa100-mig"))
GPU = "n.nvmlDeviceGetHandleByIndex(0)"
REAL_UUID, REAL_SERIAL = "GPU-5d0c7a51-9f1e-4a3b-8c2d-77e0b1a2c3d4", "1324523031337"

IDENTITY = """
def identity(device):
    ask = lambda name: getattr(n, "nvmlDeviceGet" + name)(device)
    return {"uuid": ask("UUID"), "name": ask("Name"), "memory": ask("MemoryInfo").total}
def gpu(i):
    device = n.nvmlDeviceGetHandleByIndex(i)
    migs = []
    for k in range(n.nvmlDeviceGetMaxMigDeviceCount(device)):
        try:
            mig = n.nvmlDeviceGetMigDeviceHandleByIndex(device, k)
        except n.NVMLError_NotFound:
            continue
        gi, ci = n.nvmlDeviceGetGpuInstanceId(mig), n.nvmlDeviceGetComputeInstanceId(mig)
        migs.append(identity(mig) | {"gi": gi, "ci": ci})
    info = n.nvmlDeviceGetPciInfo(device)
    return identity(device) | {"index": n.nvmlDeviceGetIndex(device), "minor": n.nvmlDeviceGetMinorNumber(device),
        "pci": "%04x:%02x:%02x.0" % (info.domain, info.bus, info.device), "serial": n.nvmlDeviceGetSerial(device),
        "compute": list(n.nvmlDeviceGetCudaComputeCapability(device)), "mig": migs}
say([gpu(i) for i in range(n.nvmlDeviceGetCount())])
"""
PRELUDE = """
import ctypes, json, sys
import pynvml as n
def say(value): print(json.dumps(value), flush=True)
def outcome(name, *args):
    try:
        getattr(n, name)(*args)
    except n.NVMLError as e:
        return e.value
    return 0
"""


@pytest.fixture
def h100(tmp_path: Path) -> ReplayedNode:
    return materialise(H100, tmp_path / "node")


def start(node: ReplayedNode, code: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(node.driver / "lib64")}
    command = [sys.executable, "-c", PRELUDE + code]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def said(process: subprocess.Popen[str]) -> list[Any]:
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def ask(node: ReplayedNode, code: str, init: bool = True) -> Any:
    """The last thing that the code says, with pynvml on the replayed library."""
    return said(start(node, ("n.nvmlInit()\n" if init else "") + code))[-1]


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


@pytest.mark.parametrize("path", [EIGHT, MIG], ids=lambda p: p.stem)
def test_recording_a_replay_gives_the_same_capture(path: Path, tmp_path: Path) -> None:
    node = materialise(path, tmp_path / "node")
    again = record(node, tmp_path / "again.json", node.name)
    assert {k: again[k] for k in ("cuda", "gpus", "models")} == {k: node.capture[k] for k in ("cuda", "gpus", "models")}
    assert {k: again["nvml"][k] for k in ("calls", "fields")} == {k: node.capture["nvml"][k] for k in ("calls", "fields")}


def record(node: ReplayedNode, out: Path, name: str) -> dict[str, Any]:
    """What capture.py writes, run by its path as on a GPU machine."""
    library = node.driver / "lib64" / "libnvidia-ml.so.1"
    command = [sys.executable, str(ROOT / "testbed" / "capture.py"), str(out), "--lib", str(library), "--name", name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


AGAIN = "the questions or the machines changed: run python -m testbed.construct"


def test_the_constructed_captures_are_what_the_builder_writes(tmp_path: Path) -> None:
    made_with = json.loads(H100.read_text(encoding="utf-8"))["bindings"]
    if capture.bindings() != made_with:
        pytest.skip(f"the captures were written with nvidia-ml-py {made_with}, installed is {capture.bindings()}")
    done = subprocess.run(
        [sys.executable, "-m", "testbed.construct", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kept = {p.name: p.read_text(encoding="utf-8") for p in CAPTURES if p.name.startswith("constructed-")}
    assert {p.name: p.read_text(encoding="utf-8") for p in tmp_path.iterdir()} == kept, AGAIN


def forms(name: str) -> set[str]:
    """How a name could stand in a capture."""
    found = {name.lower(), name.lower().encode().hex(), name.upper().encode().hex()}
    if name.startswith("GPU-"):
        found |= {name[4:].lower(), name[4:].encode().hex(), uuid.UUID(name[4:]).hex}
    return found


def test_a_recording_holds_neither_uuid_nor_serial_number_of_the_machine(tmp_path: Path) -> None:
    text = H100.read_text(encoding="utf-8")
    gpu = json.loads(text)["gpus"][0]
    for fake, real in ((gpu["uuid"], REAL_UUID), (gpu["serial"], REAL_SERIAL)):
        text = text.replace(fake, real).replace(fake.encode().hex(), real.encode().hex())
    planted = tmp_path / "planted.json"
    planted.write_text(text, encoding="utf-8")
    node = materialise(planted, tmp_path / "node")
    assert [(g["uuid"], g["serial"]) for g in ask(node, IDENTITY)] == [(REAL_UUID, REAL_SERIAL)]
    found = record(node, tmp_path / "out.json", "somewhere")
    written = (tmp_path / "out.json").read_text(encoding="utf-8").lower()
    assert [f for real in (REAL_UUID, REAL_SERIAL) for f in forms(real) if f in written] == []
    gpu = found["gpus"][0]
    assert (gpu["uuid"], gpu["serial"]) == (redact.fake_uuid("GPU", "somewhere/0"), "1650000000000")
    assert f"nvmlDeviceGetUUID 0 p{gpu['handle']} b{gpu['uuid'].encode().hex()} l" in found["nvml"]["calls"]


def capture_with(files: dict[str, str], calls: list[str]) -> dict[str, Any]:
    gpu = {"index": 0, "uuid": REAL_UUID, "serial": REAL_SERIAL, "cluster": "", "mig": []}
    return {"name": "x", "gpus": [gpu], "nvml": {"calls": calls, "fields": []}, "node": {"files": files}}


def test_names_are_replaced_wherever_they_stand() -> None:
    other = "GPU-0a1b2c3d-0000-4000-8000-00000000beef"
    files = {
        f"/proc/driver/nvidia/gpus/{REAL_UUID}/information": f"GPU UUID: {REAL_UUID.upper()}\nserial {REAL_SERIAL}\n",
        "/proc/driver/nvidia/version": "NVRM 580 (root@build-7.example.net)\nmade on big-iron-7, not big-iron-77",
        "/etc/os-release": f"neighbour {other}",
    }
    calls = [
        f"f 0 s{REAL_UUID.encode().hex()} o16::{uuid.UUID(REAL_UUID[4:]).hex}",
        f"g 0 b{REAL_SERIAL.encode().hex()}",
    ]
    found = capture_with(files, calls)
    done = capture.redact(found, capture.names_of(found, ("big-iron-7",)))
    fake, stranger, serial = redact.fake_uuid("GPU", "x/0"), redact.fake_uuid("GPU", "x/other/1"), "1650000000000"
    assert done["node"]["files"] == {
        f"/proc/driver/nvidia/gpus/{fake}/information": f"GPU UUID: {fake}\nserial {serial}\n",
        "/proc/driver/nvidia/version": "NVRM 580 (builder@node)\nmade on node, not big-iron-77",
        "/etc/os-release": f"neighbour {stranger}",
    }
    fake_bytes = uuid.UUID(fake[4:]).hex
    assert done["nvml"]["calls"] == [f"f 0 s{fake.encode().hex()} o16::{fake_bytes}", f"g 0 b{serial.encode().hex()}"]


def test_nothing_is_written_when_a_name_is_left() -> None:
    """A host name as bytes cannot be replaced by one of another length."""
    found = capture_with({}, ["f 0 b" + b"big-iron-7".hex()])
    with pytest.raises(redact.StillThere, match=r"a host name of this machine \(10 characters\) is left"):
        capture.redact(found, capture.names_of(found, ("big-iron-7",)))


def test_the_name_of_this_machine_counts_unless_every_machine_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {}
    for host in ("big-iron-7.example.net", "localhost.localdomain", "gpu"):
        monkeypatch.setattr(socket, "gethostname", lambda host=host: host)
        names[host] = capture.host_names()
    assert names == {
        "big-iron-7.example.net": ("big-iron-7.example.net", "big-iron-7"),
        "localhost.localdomain": (),
        "gpu": (),
    }


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
        ('{"version": 2}', "not a capture of version 1"),
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


CUDA = """
c = ctypes.CDLL("libcuda.so.1")
PTX = b".version 6.0\\n.target sm_50\\n.visible .entry vadd(){ret;}\\n"
def compute(device, n, threads):
    ctx, mod, fn = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    a, b, out = (ctypes.c_float * n)(*range(n)), (ctypes.c_float * n)(*range(0, 2 * n, 2)), (ctypes.c_float * n)()
    pointers = [ctypes.c_uint64() for _ in range(3)]
    codes = [c.cuCtxCreate_v2(ctypes.byref(ctx), 0, device), c.cuModuleLoadData(ctypes.byref(mod), PTX),
             c.cuModuleGetFunction(ctypes.byref(fn), mod, b"vadd")]
    codes += [c.cuMemAlloc_v2(ctypes.byref(p), ctypes.c_size_t(4 * n)) for p in pointers]
    codes += [c.cuMemcpyHtoD_v2(p, x, ctypes.c_size_t(4 * n)) for p, x in zip(pointers, (a, b, out))]
    given = [*pointers, ctypes.c_uint32(n)]
    params = (ctypes.c_void_p * 4)(*[ctypes.addressof(g) for g in given])
    codes += [c.cuLaunchKernel(fn, threads // 32, 1, 1, 32, 1, 1, 0, None, params, None), c.cuCtxSynchronize(),
              c.cuMemcpyDtoH_v2(out, pointers[2], ctypes.c_size_t(4 * n)), *(c.cuMemFree_v2(p) for p in pointers)]
    return [sorted(set(codes)), list(out)]
def uuids():
    count = ctypes.c_int()
    c.cuDeviceGetCount(ctypes.byref(count))
    found = []
    for i in range(count.value):
        octets, name = ctypes.create_string_buffer(16), ctypes.create_string_buffer(99)
        c.cuDeviceGetUuid_v2(octets, i); c.cuDeviceGetName(name, 99, i)
        found.append([octets.raw.hex(), name.value.decode()])
    return found
"""


@pytest.fixture(scope="module")
def cuda(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ReplayedNode]:
    """Nodes whose libcuda looks for device nodes in a folder where any user can make them."""
    place = tmp_path_factory.mktemp("cuda")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPUREADY_TESTBED_CACHE", str(place / "cache"))
        return {p.stem: materialise(p, place / p.stem, dev=str(place / f"{p.stem}-dev")) for p in (EIGHT, MIG)}


def devices(node: ReplayedNode, *names: str) -> None:
    dev = node.root.with_name(f"{node.root.name}-dev")
    shutil.rmtree(dev, ignore_errors=True)
    for name in names:
        (dev / name).parent.mkdir(parents=True, exist_ok=True)
        (dev / name).touch()


@pytest.mark.parametrize(
    ("given", "code", "minors"),
    [
        pytest.param(
            ("nvidiactl", "nvidia-uvm", "nvidia2", "nvidia7"), 0, [2, 7], id="the GPUs of the container, no others"
        ),
        pytest.param(("nvidiactl", "nvidia-uvm"), 100, [], id="no GPU: no device"),
        pytest.param(("nvidia-uvm", "nvidia2"), 100, [], id="no control device: no device"),
        pytest.param(("nvidiactl", "nvidia2"), 999, [], id="no unified memory device: unknown error"),
    ],
)
def test_cuda_sees_what_device_nodes_allow(
    cuda: dict[str, ReplayedNode], given: tuple[str, ...], code: int, minors: list[int]
) -> None:
    node = cuda[EIGHT.stem]
    devices(node, *given)
    expected = [[uuid.UUID(node.gpus[m]["uuid"][4:]).hex, "NVIDIA H100 80GB HBM3 (replayed)"] for m in minors]
    assert ask(node, CUDA + "say([c.cuInit(0), uuids()])", init=False) == [code, expected]


def test_cuda_shows_the_mig_device_whose_capabilities_are_there(cuda: dict[str, ReplayedNode]) -> None:
    node = cuda[MIG.stem]
    mig = node.gpus[0]["mig"][1]
    base = node.proc_driver / "nvidia" / "capabilities" / "gpu0" / "mig" / f"gi{mig['gi']}"
    minors = [f.read_text().split()[1] for f in (base / "access", base / f"ci{mig['ci']}" / "access")]
    devices(node, "nvidiactl", "nvidia-uvm", "nvidia0", *(f"nvidia-caps/nvidia-cap{m}" for m in minors))
    expected = [[uuid.UUID(mig["uuid"][4:]).hex, f"{mig['name']} (replayed)"]]
    assert ask(node, CUDA + "say([c.cuInit(0), uuids()])", init=False) == [0, expected]


@pytest.mark.parametrize(
    ("threads", "right"),
    [
        pytest.param(64, [float(3 * i) for i in range(40)], id="a grid that covers all"),
        pytest.param(32, [float(3 * i) if i < 32 else 0.0 for i in range(40)], id="a grid too small leaves the rest"),
    ],
)
def test_vadd_adds(cuda: dict[str, ReplayedNode], threads: int, right: list[float]) -> None:
    devices(cuda[EIGHT.stem], "nvidiactl", "nvidia-uvm", "nvidia0", "nvidia1")
    code = CUDA + f"c.cuInit(0); say(compute(1, 40, {threads}))"
    assert ask(cuda[EIGHT.stem], code, init=False) == [[0], right]


# CUresult: 1 invalid value, 2 out of memory, 3 not initialised, 201 invalid context, 218 invalid PTX, 500 not found
@pytest.mark.parametrize(
    ("code", "answer"),
    [
        pytest.param("say(c.cuDeviceGetCount(p))", 3, id="before cuInit"),
        pytest.param("c.cuInit(0); say(c.cuMemAlloc_v2(p, size(4)))", 201, id="without a context"),
        pytest.param("context(); say(c.cuMemAlloc_v2(p, size(1 << 40)))", 2, id="more memory than the GPU has"),
        pytest.param(
            "context(); c.cuMemAlloc_v2(p, size(4)); say(c.cuMemcpyHtoD_v2(x, b'12345678', size(8)))",
            1,
            id="beyond an allocation",
        ),
        pytest.param("context(); say(c.cuModuleLoadData(p, b'no code'))", 218, id="an image that is no PTX"),
        pytest.param(
            "context(); c.cuModuleLoadData(p, PTX); say(c.cuModuleGetFunction(p, x, b'other'))",
            500,
            id="a kernel other than vadd",
        ),
    ],
)
def test_cuda_refusals(cuda: dict[str, ReplayedNode], code: str, answer: int) -> None:
    devices(cuda[EIGHT.stem], "nvidiactl", "nvidia-uvm", "nvidia0")
    setting = """
x, size = ctypes.c_uint64(), ctypes.c_size_t
p = ctypes.byref(x)
def context(): c.cuInit(0); c.cuCtxCreate_v2(ctypes.byref(ctypes.c_void_p()), 0, 0)
"""
    assert ask(cuda[EIGHT.stem], CUDA + setting + code, init=False) == answer
