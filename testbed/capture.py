"""Records a machine with NVIDIA GPUs, so that the testbed can put it on a node that has none.

    python3 testbed/capture.py OUT.json [--lib /usr/local/nvidia/lib64/libnvidia-ml.so.1] [--name h100]

Needs Python 3.11, pynvml and the driver's libnvidia-ml.so.1; asks the agent's own questions too where gpuready can be imported. Reads
only. UUIDs, serial numbers and host names are replaced before anything is written.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import socket
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

if not __package__:  # run by its path on a GPU machine, which lacks what the rest of the package imports: take the folder alone
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
    ("nvmlInit", "nvmlInit_v2", "nvmlInitWithFlags", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex")
    + ("nvmlDeviceGetHandleByPciBusId", "nvmlEventSetWait")
)


def ask_nvml(pynvml: Any, library: str) -> dict[str, Any]:
    """Everything that NVML says. Raises OSError when the library cannot be loaded."""
    pynvml.nvmlLib = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    pynvml._nvmlGetFunctionPointer_cache.clear()
    with Recorder(pynvml) as recorder:
        tour = Tour(pynvml)
        tour.run()
        agent = ask_as_agent(library)
    return {
        "gpus": describe(pynvml, recorder, tour),
        "calls": sorted(recorder.calls.values()),
        "fields": sorted(recorder.fields.values()),
        "absent": sorted(recorder.absent),
        "agent": agent,
    }


def ask_as_agent(library: str) -> bool:
    """The questions of gpuready's own agent. False when gpuready is not here; any failure of it is the caller's to see."""
    try:
        from gpuready.node.nvml import open_nvml
    except ImportError:
        return False
    nvml = open_nvml(Path(library))
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
    pynvml.nvmlInit()
    try:
        found = []
        for index, gpu in enumerate(tour.gpus):
            entry = {**entity(tour, recorder, gpu), "index": index, "pci": pci_address(tour.ask("nvmlDeviceGetPciInfo", gpu))}
            entry["minor"] = tour.ask("nvmlDeviceGetMinorNumber", gpu)
            entry["compute"] = list(tour.ask("nvmlDeviceGetCudaComputeCapability", gpu) or ())
            entry["serial"] = tour.ask("nvmlDeviceGetSerial", gpu) or ""
            entry["mig"] = [
                {**entity(tour, recorder, m), "gi": tour.ask("nvmlDeviceGetGpuInstanceId", m), "ci": tour.ask("nvmlDeviceGetComputeInstanceId", m)}
                for m in tour.migs[index]
            ]
            found.append(entry)
        return found
    finally:
        pynvml.nvmlShutdown()


def entity(tour: Tour, recorder: Recorder, device: Any) -> dict[str, Any]:
    memory = tour.ask("nvmlDeviceGetMemoryInfo", device)
    return {
        "handle": f"{recorder.handle(device):x}",
        "uuid": tour.ask("nvmlDeviceGetUUID", device),
        "name": tour.ask("nvmlDeviceGetName", device),
        "memory": memory.total if memory else 0,
    }


def pci_address(info: Any) -> str:
    """As sysfs writes it: 0000:1b:00.0."""
    return f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0" if info else ""


def assemble(name: str, made: str, nvml: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """The capture, not yet redacted."""
    cuda = next((c for c in nvml["calls"] if c.startswith("nvmlSystemGetCudaDriverVersion_v2 0 ")), "")
    number = int.from_bytes(bytes.fromhex(cuda.rsplit(":", 1)[-1]), "little") if cuda else 0
    models = sorted({g["name"] for g in nvml["gpus"]})
    about = {"version": VERSION, "made": made, "name": name, "models": models, "cuda": number}
    return {**about, "gpus": nvml["gpus"], "nvml": {k: v for k, v in nvml.items() if k != "gpus"}, "node": node}


def names_of(capture: dict[str, Any], hosts: tuple[str, ...]) -> Names:
    """The names to replace: those NVML gives for GPUs and MIG devices, and any other UUID that the node's files hold."""
    uuids, serials = {}, {}
    for gpu in capture["gpus"]:
        uuids[gpu["uuid"]] = fake_uuid("GPU", f"{capture['name']}/{gpu['index']}")
        for mig in gpu["mig"]:
            uuids[mig["uuid"]] = fake_uuid("MIG", f"{capture['name']}/{gpu['index']}/{mig['gi']}/{mig['ci']}")
        if len(gpu["serial"]) >= SHORTEST_SERIAL:
            serials[gpu["serial"]] = fake_serial(gpu["serial"], gpu["index"])
    for other in sorted(set(UUID.findall(json.dumps(capture["node"]))) - set(uuids)):
        uuids[other] = fake_uuid(other[:3], f"{capture['name']}/other/{len(uuids)}")
    # a replayed capture has its fakes already
    return Names(*({real: fake for real, fake in found.items() if real != fake} for found in (uuids, serials)), hosts=hosts)


def redact(capture: dict[str, Any], names: Names) -> dict[str, Any]:
    nvml = capture["nvml"] | {k: [names.hex(line) for line in capture["nvml"][k]] for k in ("calls", "fields")}
    plain = json.loads(names.text(json.dumps({k: v for k, v in capture.items() if k != "nvml"})))
    done: dict[str, Any] = {**plain, "nvml": nvml}
    names.check(json.dumps(done))
    return done


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
    import pynvml

    from testbed.fakenvml import functions_of

    nvml = ask_nvml(pynvml, library)
    nvml["exports"] = exports(pynvml.nvmlLib, functions_of(pynvml))
    capture = assemble(name, "recorded", nvml, nodefiles.node(Path(library), len(nvml["gpus"])))
    return redact(capture, names_of(capture, host_names()))


def main() -> int:
    parser = argparse.ArgumentParser(description="Record this machine's GPUs for replay.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--lib", default=LIBRARY)
    parser.add_argument("--name", default="recorded")
    args = parser.parse_args()
    try:
        capture = record(args.name, args.lib)
    except (OSError, StillThere) as e:
        print(f"capture: {e}", file=sys.stderr)
        return 1
    write(capture, args.out)
    calls, fields = len(capture["nvml"]["calls"]), len(capture["nvml"]["fields"])
    print(f"{args.out}: {len(capture['gpus'])} GPU(s), {calls} calls, {fields} field values, {args.out.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
