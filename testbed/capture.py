"""Records a machine with NVIDIA GPUs, so that the testbed can put it on a node that has none.

    python3 testbed/capture.py OUT.json [--lib /usr/local/nvidia/lib64/libnvidia-ml.so.1] [--name h100]

Needs Python 3.11, pynvml and the driver's libnvidia-ml.so.1; asks the agent's own questions too where gpuready can be
imported. Reads only. UUIDs, serial numbers and host names are replaced before anything is written.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import faulthandler
import importlib.metadata
import json
import socket
import sys
import types
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

if not __package__:  # run by its path, on a machine without what the rest of the package imports: the folder alone
    folder = types.ModuleType("testbed")
    folder.__path__ = [str(Path(__file__).resolve().parent)]
    sys.modules.setdefault("testbed", folder)

from testbed import nodefiles
from testbed.recorder import Recorder
from testbed.redact import SHORTEST_SERIAL, UUID, Names, StillThere, fake_serial, fake_uuid
from testbed.tour import Tour

VERSION = 1
LIBRARY = "/usr/local/nvidia/lib64/libnvidia-ml.so.1"
# Exported by every driver and never asked for by pynvml; C programs use them.
OLD_NAMES = (
    "nvmlInit",
    "nvmlInit_v2",
    "nvmlInitWithFlags",
    "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetHandleByPciBusId",
    "nvmlEventSetWait",
)


class CaptureError(Exception):
    """This machine cannot be captured: no bindings, no driver, or NVML refuses as a whole."""


def ask_nvml(pynvml: Any, library: str) -> dict[str, Any]:
    """Everything that NVML says. Raises OSError when the library cannot be loaded."""
    with contextlib.suppress(OSError):  # NVML finds libcuda.so.1 only where that is loaded or in the loader's path
        ctypes.CDLL(str(Path(library).with_name("libcuda.so.1")))
    pynvml.nvmlLib = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    pynvml._nvmlGetFunctionPointer_cache.clear()
    pynvml.nvmlInit()  # counted: handles stay what they are until the last of its users has shut down
    try:
        with Recorder(pynvml) as recorder:
            tour = Tour(pynvml)
            tour.run()
            agent = ask_as_agent(library)
        gpus = describe(pynvml, recorder, tour)
    finally:
        pynvml.nvmlShutdown()
    return {
        "gpus": gpus,
        "calls": sorted(recorder.calls.values()),
        "fields": sorted(recorder.fields.values()),
        "absent": sorted(recorder.absent),
        "agent": agent,
        "broken": sorted(set(tour.broken)),
    }


def ask_as_agent(library: str) -> bool:
    """The questions of gpuready's own agent. False when gpuready is not here; a failure of it is not caught."""
    try:
        from gpuready.node.nvml import NvmlError, open_nvml
    except ImportError:
        return False
    try:
        nvml = open_nvml(Path(library))
    except NvmlError as e:
        raise CaptureError(f"gpuready's agent cannot ask: {e}") from e
    try:
        nvml.snapshot()
        nvml.samples()
        for name in ("vitals", "links"):
            question: Callable[[], object] | None = getattr(nvml, name, None)
            if question is not None:
                question()
    finally:
        nvml.close()
    return True


def describe(pynvml: Any, recorder: Recorder, tour: Tour) -> list[dict[str, Any]]:
    """Who the GPUs are, for the parts of the replay that are not NVML. Asked outside the recording."""
    found = []
    for index, gpu in enumerate(tour.gpus):
        entry = entity(tour, recorder, gpu) | {"index": index}
        if not entry["uuid"]:
            raise CaptureError(f"NVML gives no UUID for GPU {index}")
        entry["pci"] = pci_address(tour.ask("nvmlDeviceGetPciInfo", gpu))
        entry["minor"] = tour.ask("nvmlDeviceGetMinorNumber", gpu)
        entry["compute"] = list(tour.ask("nvmlDeviceGetCudaComputeCapability", gpu) or ())
        entry["serial"] = tour.ask("nvmlDeviceGetSerial", gpu) or ""
        entry["cluster"] = cluster(pynvml, tour, gpu)
        migs = [entity(tour, recorder, m) | instance(tour, m) for m in tour.migs[index]]
        entry["mig"] = [m for m in migs if m["uuid"]]  # with MIG off some drivers give handles of nothing
        found.append(entry)
    return found


def entity(tour: Tour, recorder: Recorder, device: Any) -> dict[str, Any]:
    memory = tour.ask("nvmlDeviceGetMemoryInfo", device)
    return {
        "handle": f"{recorder.handle(device):x}",
        "uuid": tour.ask("nvmlDeviceGetUUID", device),
        "name": tour.ask("nvmlDeviceGetName", device),
        "memory": memory.total if memory else 0,
    }


def instance(tour: Tour, device: Any) -> dict[str, Any]:
    gi, ci = (tour.ask(f"nvmlDeviceGet{kind}InstanceId", device) for kind in ("Gpu", "Compute"))
    return {"gi": gi, "ci": ci}


def cluster(pynvml: Any, tour: Tour, gpu: Any) -> str:
    """The UUID of the NVLink domain, which names a rack; "" when there is none."""
    info = pynvml.c_nvmlGpuFabricInfo_t()
    tour.ask("nvmlDeviceGetGpuFabricInfo", gpu, ctypes.byref(info))
    return str(uuid.UUID(bytes=bytes(info.clusterUuid))) if any(info.clusterUuid) else ""


def pci_address(info: Any) -> str:
    """As sysfs writes it: 0000:1b:00.0."""
    return f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0" if info else ""


def assemble(name: str, made: str, nvml: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """The capture, not yet redacted."""
    cuda = next((c for c in nvml["calls"] if c.startswith("nvmlSystemGetCudaDriverVersion_v2 0 ")), "")
    number = int.from_bytes(bytes.fromhex(cuda.rsplit(":", 1)[-1]), "little") if cuda else 0
    models = sorted({g["name"] for g in nvml["gpus"]})
    about = {"version": VERSION, "made": made, "name": name, "models": models, "cuda": number, "bindings": bindings()}
    return {**about, "gpus": nvml["gpus"], "nvml": {k: v for k, v in nvml.items() if k != "gpus"}, "node": node}


def bindings() -> str:
    """The version of pynvml, whose structures and function names the capture holds."""
    try:
        return importlib.metadata.version("nvidia-ml-py")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def names_of(capture: dict[str, Any], hosts: tuple[str, ...]) -> Names:
    """The names to replace: what NVML calls GPUs and MIG devices, and any other UUID in the node's files."""
    uuids, serials = {}, {}
    for gpu in capture["gpus"]:
        uuids[gpu["uuid"]] = fake_uuid("GPU", f"{capture['name']}/{gpu['index']}")
        for mig in gpu["mig"]:
            uuids[mig["uuid"]] = fake_uuid("MIG", f"{capture['name']}/{gpu['index']}/{mig['gi']}/{mig['ci']}")
        if gpu["cluster"]:
            uuids[f"FAB-{gpu['cluster']}"] = fake_uuid("FAB", f"{capture['name']}/cluster")
        if len(gpu["serial"]) >= SHORTEST_SERIAL:
            serials[gpu["serial"]] = fake_serial(gpu["serial"], gpu["index"])
    strangers = {u.lower(): u for u in UUID.findall(json.dumps(capture["node"]))}
    for other in sorted(strangers.keys() - {u.lower() for u in uuids}):
        uuids[strangers[other]] = fake_uuid(other[:3].upper(), f"{capture['name']}/other/{len(uuids)}")
    # a replayed capture has its fakes already
    return Names(uuids=changed(uuids), serials=changed(serials), hosts=hosts)


def changed(names: dict[str, str]) -> dict[str, str]:
    return {real: fake for real, fake in names.items() if real != fake}


def redact(capture: dict[str, Any], names: Names) -> dict[str, Any]:
    nvml = capture["nvml"] | {k: [names.hex(line) for line in capture["nvml"][k]] for k in ("calls", "fields")}
    done: dict[str, Any] = {k: nvml if k == "nvml" else each_text(v, names.text) for k, v in capture.items()}
    names.check(json.dumps(done))
    return done


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """The value with every string in it changed, keys included."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(k): each_text(v, change) for k, v in value.items()}
    return [each_text(v, change) for v in value] if isinstance(value, list) else value


def host_names() -> tuple[str, ...]:
    """This machine's names, without those that every machine has and those too short to be told from other words."""
    found = {socket.gethostname(), socket.gethostname().split(".")[0]}
    return tuple(sorted((h for h in found if len(h) > 3 and not h.startswith("localhost")), key=len, reverse=True))


def write(capture: dict[str, Any], out: Path) -> None:
    text = json.dumps(capture, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    fresh = out.with_suffix(".tmp")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(out)


def exports(library: Any, wanted: list[str]) -> list[str]:
    """Which of these functions the library has."""
    return sorted(n for n in {*wanted, *OLD_NAMES} if hasattr(library, n))


def record(name: str, library: str) -> dict[str, Any]:
    """The capture of this machine, redacted."""
    try:
        import pynvml
    except ImportError as e:
        raise CaptureError("pynvml is not here: pip install nvidia-ml-py, or put its folder on PYTHONPATH") from e
    from testbed.fakenvml import functions_of

    try:
        nvml = ask_nvml(pynvml, library)
    except pynvml.NVMLError as e:
        raise CaptureError(f"{library} does not answer: {e}") from e
    nvml["exports"] = exports(pynvml.nvmlLib, functions_of(pynvml))
    capture = assemble(name, "recorded", nvml, nodefiles.node(Path(library), len(nvml["gpus"])))
    return redact(capture, names_of(capture, host_names()))


def main() -> int:
    parser = argparse.ArgumentParser(description="Record this machine's GPUs for replay.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--lib", default=LIBRARY)
    parser.add_argument("--name", default="recorded")
    args = parser.parse_args()
    faulthandler.enable()  # a crash inside the driver's library names the question
    try:
        capture = record(args.name, args.lib)
    except (OSError, CaptureError, StillThere) as e:
        print(f"capture: {e}", file=sys.stderr)
        return 1
    write(capture, args.out)
    if not capture["nvml"]["agent"]:
        print("capture: gpuready cannot be imported here, so its agent's own questions were not asked", file=sys.stderr)
    calls, fields = len(capture["nvml"]["calls"]), len(capture["nvml"]["fields"])
    print(f"{args.out}: {len(capture['gpus'])} GPU(s), {calls} calls, {fields} fields, {args.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
