"""Lays out a node's GPUs from a capture: driver libraries that answer as recorded, PCI, /proc, device nodes.

`materialise` writes into a folder what the testbed puts on a node; the product on that node loads libnvidia-ml.so.1 and
libcuda.so.1 as on any other. Both export `gpuready_replay`, which says that they replay. What a test changes afterwards
(a lost GPU, an Xid, a temperature) every process that loaded the library from that folder sees at its next call.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from testbed.redact import fake_uuid

VERSION = 1
SOURCES = Path(__file__).parent / "replay"
FLAGS = ("-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-fvisibility=hidden", "-std=gnu11")
# Same arguments, another name: what C programs call and pynvml, from which captures are made, does not.
ALIASES = {
    "nvmlDeviceGetCount_v2": "nvmlDeviceGetCount",
    "nvmlDeviceGetHandleByIndex_v2": "nvmlDeviceGetHandleByIndex",
    "nvmlDeviceGetHandleByPciBusId_v2": "nvmlDeviceGetHandleByPciBusId",
}
LIBRARIES = {"nvml": "libnvidia-ml", "cuda": "libcuda", "empty": "libnvidia-ptxjitcompiler"}  # by source
LIVE, CALLS, CAPTURE = "gpuready-replay", "nvml.calls", "capture.json"
UNSIGNED_LONG_LONG = 3  # nvmlValueType_t
SYS_PCI, PROC = "/sys/bus/pci/devices/", "/proc/driver/"


class ReplayError(Exception):
    """The capture cannot be replayed: it is not one, or the compiler is missing or refused."""


class DeviceNode(NamedTuple):
    name: str  # beneath /dev: nvidia0, nvidia-caps/nvidia-cap1
    major: int
    minor: int


@dataclass(frozen=True)
class ReplayedNode:
    """What lies in `root`. Give the node `driver` as its driver root, `sys_pci` as /sys/bus/pci/devices and
    `proc_driver` as /proc/driver.

    Changes reach every process whose library lies in `driver/lib64` or a bind mount of it; a copy does not change.
    """

    root: Path
    capture: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.capture["name"])

    @property
    def gpus(self) -> list[dict[str, Any]]:
        """By index: uuid, name, minor, pci, memory (bytes), compute, handle, mig."""
        found: list[dict[str, Any]] = self.capture["gpus"]
        return found

    @property
    def driver_version(self) -> str:
        return driver_version(self.capture)

    @property
    def device_nodes(self) -> tuple[DeviceNode, ...]:
        nodes = self.capture["node"]["device_nodes"]
        return tuple(DeviceNode(d["path"].removeprefix("/dev/"), d["major"], d["minor"]) for d in nodes)

    @property
    def driver(self) -> Path:
        return self.root / "driver"

    @property
    def sys_pci(self) -> Path:
        return self.root / "sys-bus-pci"

    @property
    def proc_driver(self) -> Path:
        return self.root / "proc-driver"

    @property
    def sys_module(self) -> Path:
        return self.root / "sys-module"

    @property
    def live(self) -> Path:
        """The folder that the library reads: nvml.calls and events."""
        return self.driver / "lib64" / LIVE

    def xid(self, gpu: int, code: int) -> None:
        """An Xid event of that GPU, for whoever listens now; as with the driver, nobody is told later."""
        with (self.live / "events").open("a", encoding="ascii") as f:
            f.write(f"xid {gpu} {code}\n")

    def lose(self, gpu: int) -> None:
        """From now on every call that concerns this GPU answers NVML_ERROR_GPU_IS_LOST, until `restore`."""
        self._publish([*self._lines(), *(f"lost {handle}" for handle in self._handles(gpu))])

    def answer(self, gpu: int, function: str, value: int, given: tuple[int, ...] | None = None) -> None:
        """The first number that `function` gives for this GPU becomes `value`. `given` narrows it to the calls with
        these integers, such as the sensor of nvmlDeviceGetTemperature. Raises ReplayError when there is no such call.
        """
        lines = self._lines()
        found = [i for i, line in enumerate(lines) if self._asks(line, gpu, function, given)]
        if not found:
            raise ReplayError(f"{self.name} has no call of {function} for GPU {gpu}{f' with {given}' if given else ''}")
        for i in found:
            lines[i] = with_value(lines[i], value)
        self._publish(lines)

    def field_value(self, gpu: int, number: int, value: int) -> None:
        """What nvmlDeviceGetFieldValues gives for this field (NVML_FI_...) of the GPU, as an unsigned 64-bit number."""
        asked = f"field {self.gpus[gpu]['handle']} {number} 0 "
        others = [line for line in self._lines() if not line.startswith(asked)]
        self._publish([*others, f"{asked}0 {UNSIGNED_LONG_LONG} {value:x}"])

    def refuse_init(self, code: int) -> None:
        """NVML does not start any more: 9 is "driver not loaded", 18 "driver/library version mismatch"."""
        self._publish(
            [re.sub(r"^call nvmlInitWithFlags \d+", f"call nvmlInitWithFlags {code}", x) for x in self._lines()]
        )

    def restore(self) -> None:
        """Every answer as captured, no GPU lost. Events stay as they are."""
        self._publish(flatten(self.capture))

    def _handles(self, gpu: int) -> list[str]:
        return [self.gpus[gpu]["handle"], *(m["handle"] for m in self.gpus[gpu]["mig"])]

    def _asks(self, line: str, gpu: int, function: str, given: tuple[int, ...] | None) -> bool:
        words = line.split()
        integers = tuple(int(w[1:]) for w in words[3:] if w[0] == "i")
        of_gpu = words[:2] == ["call", function] and words[3:4] == [f"p{self.gpus[gpu]['handle']}"]
        return of_gpu and given in (None, integers)

    def _lines(self) -> list[str]:
        return (self.live / CALLS).read_text(encoding="ascii").splitlines()

    def _publish(self, lines: list[str]) -> None:
        """Whole or not at all: a library may be reading."""
        self.live.mkdir(parents=True, exist_ok=True)
        fresh = self.live / f"{CALLS}.new"
        fresh.write_text("\n".join(lines) + "\n", encoding="ascii")
        fresh.replace(self.live / CALLS)


def materialise(capture: Path, into: Path, *, node: str = "", dev: str = "/dev") -> ReplayedNode:
    """Build the libraries (cached) and lay out `into`, which must be empty or not exist.

    `node` gives the GPUs UUIDs of their own, so that two nodes made from one capture differ. `dev` is where libcuda
    looks for device nodes; only tests set it. Raises ReplayError.
    """
    text = capture.read_text(encoding="utf-8")
    found = load(renamed(text, node) if node else text, capture)
    into.mkdir(parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise ReplayError(f"{into} is not empty: give each replayed node a folder of its own")
    replayed = ReplayedNode(into, found)
    lay_out_driver(build(found, dev), replayed)
    lay_out_files(found["node"], into)
    (into / CAPTURE).write_text(json.dumps(found), encoding="utf-8")
    return replayed


def attach(into: Path) -> ReplayedNode:
    """The node that `materialise` laid out there, in this process or another."""
    path = into / CAPTURE
    return ReplayedNode(into, load(path.read_text(encoding="utf-8"), path))


def load(text: str, path: Path) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as e:
        raise ReplayError(f"{path} is not a capture: {e}") from e
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise ReplayError(f"{path} is not a capture of version {VERSION}")
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,63}", str(found.get("name"))):
        raise ReplayError(f"{path} has no usable name: letters, digits, '.', '_' and '-'")
    return found


def renamed(text: str, node: str) -> str:
    """The capture with UUIDs of this node: as text, as text in hex, and as bytes in hex."""
    for gpu in json.loads(text)["gpus"]:
        for real in (gpu["uuid"], *(m["uuid"] for m in gpu["mig"])):
            fake = fake_uuid(real[:3], f"{node}/{real}")
            text = text.replace(real, fake).replace(real.encode().hex(), fake.encode().hex())
            text = text.replace(uuid.UUID(real[4:]).hex, uuid.UUID(fake[4:]).hex)
    return text


def driver_version(capture: dict[str, Any]) -> str:
    """Of the library's own file name, as on a real node."""
    for library in capture["node"]["libraries"]:
        if library["name"].startswith("libnvidia-ml.so.") and library["name"].count(".") > 2:
            return str(library["name"].removeprefix("libnvidia-ml.so."))
    raise ReplayError(f"{capture['name']} lists no libnvidia-ml.so.<version>")


def flatten(capture: dict[str, Any]) -> list[str]:
    """The lines that nvml.c reads, see recorder.py for the words.

    `gpu <handle>` in order of index; `call <function> <code> <word>...`, sorted by function; `field <handle> <field>
    <scope> <code> <type> <value>`; `lost <handle>`. An object that some recorded call of the function had set before
    the call is compared (x for o).
    """
    calls = [line.split() for line in capture["nvml"]["calls"]]
    asked_with = {(words[0], i) for words in calls for i, w in enumerate(words) if w[0] == "o" and w.split(":")[1]}
    lines = []
    for words in calls:
        compared = ["x" + w[1:] if (words[0], i) in asked_with else w for i, w in enumerate(words)]
        for name in filter(None, (words[0], ALIASES.get(words[0]))):
            lines.append(" ".join(["call", name, *compared[1:]]))
    fields = [f"field {line}" for line in capture["nvml"]["fields"]]
    gpus = [f"gpu {g['handle']}" for g in capture["gpus"]]
    return gpus + sorted(lines, key=lambda line: line.split()[1].encode()) + fields


def with_value(line: str, value: int) -> str:
    """The call's line with the first object that it fills holding `value`, little-endian; the call succeeds."""
    words = line.split()
    words[2] = "0"
    at = next((i for i, w in enumerate(words) if w[0] in "ox" and w[1:2].isdigit()), None)
    if at is None:
        raise ReplayError(f"{words[1]} gives no number")
    size, given, filled = words[at].split(":")
    width = int(size[1:])
    rest = filled[16:] if width > 8 else ""
    words[at] = f"{size}:{given}:{value.to_bytes(min(width, 8), 'little').hex()}{rest}"
    return " ".join(words)


def build(capture: dict[str, Any], dev: str) -> Path:
    """The folder with the compiled files, from the cache when these sources and answers were compiled before."""
    headers = {"symbols.h": symbols(capture), "gpus.h": gpus_header(capture), CALLS: "\n".join(flatten(capture)) + "\n"}
    sources = sorted(SOURCES.glob("*.c"))
    key = json.dumps([headers, dev, FLAGS, capture["name"], [s.read_text("utf-8") for s in sources]])
    place = cache() / hashlib.sha256(key.encode()).hexdigest()[:24]
    if place.exists():
        return place
    fresh = place.with_name(f"{place.name}.{os.getpid()}")
    fresh.mkdir(parents=True)
    try:
        for name, text in headers.items():
            (fresh / name).write_text(text, encoding="utf-8")
        compile_all(fresh, capture["name"], dev)
        fresh.rename(place)
    except OSError:
        if not place.exists():  # another process may have been first
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return place


def cache() -> Path:
    base = os.environ.get("GPUREADY_TESTBED_CACHE") or Path.home() / ".cache" / "gpuready-testbed"
    return Path(base) / "replay"


def compile_all(folder: Path, name: str, dev: str) -> None:
    defines = [f'-DCAPTURE_NAME="{name}"', f'-DCALLS_FILE="{folder}/{CALLS}"', f'-DDEV_DIR="{dev}"', f"-I{folder}"]
    for source, soname in LIBRARIES.items():
        gcc([*FLAGS, *defines, f"-Wl,-soname,{soname}.so.1", "-o", f"{folder}/{soname}.so", f"{SOURCES}/{source}.c"])
    gcc(["-O1", "-Wall", "-Wextra", "-Werror", "-o", f"{folder}/nvidia-smi", f"{SOURCES}/smi.c"])


def gcc(arguments: list[str]) -> None:
    try:
        done = subprocess.run(["gcc", *arguments], capture_output=True, text=True, check=False, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as e:
        raise ReplayError(f"gcc cannot be run ({e}): on Debian, apt-get install gcc libc6-dev") from e
    if done.returncode != 0:
        raise ReplayError(f"gcc refused {arguments[-1]}:\n{done.stderr[:4000]}")


def symbols(capture: dict[str, Any]) -> str:
    """What the library exports: what the recorded one did. nvmlErrorString has its own code."""
    names = {*capture["nvml"]["exports"]} - {"nvmlErrorString"}
    return "".join(f"NVML({name})\n" for name in sorted(names))


def gpus_header(capture: dict[str, Any]) -> str:
    """What libcuda shows: each GPU, or its MIG devices with the capability device nodes that open them."""
    entries = []
    for gpu in capture["gpus"]:
        if not gpu["mig"]:
            entries.append(gpu_entry(gpu, gpu, -1, -1))
        for mig in gpu["mig"]:
            base = f"/proc/driver/nvidia/capabilities/gpu{gpu['minor']}/mig/gi{mig['gi']}"
            gi, ci = (capture["node"]["files"].get(f"{base}/{p}", "") for p in ("access", f"ci{mig['ci']}/access"))
            entries.append(gpu_entry(gpu, mig, cap_minor(gi), cap_minor(ci)))
    none = '{-1, -1, -1, "", {0}, 0, 0, 0}'  # C has no empty arrays
    table = ",\n    ".join(entries or [none])
    numbers = f"#define N_GPUS {len(entries)}\n#define CUDA_VERSION {capture['cuda']}\n"
    return f"static const struct gpu GPUS[] = {{\n    {table}}};\n{numbers}"


def gpu_entry(gpu: dict[str, Any], device: dict[str, Any], gi_cap: int, ci_cap: int) -> str:
    octets = ", ".join(str(b) for b in uuid.UUID(device["uuid"][4:]).bytes)
    major, minor = gpu["compute"]
    name = json.dumps(device["name"])
    return f"{{{gpu['minor']}, {gi_cap}, {ci_cap}, {name}, {{{octets}}}, {device['memory']}ULL, {major}, {minor}}}"


def cap_minor(text: str) -> int:
    found = [line.split(":")[1] for line in text.splitlines() if line.startswith("DeviceFileMinor:")]
    if not found:
        raise ReplayError("this capture has a MIG device without its file in /proc/driver/nvidia/capabilities")
    return int(found[0])


def lay_out_driver(made: Path, node: ReplayedNode) -> None:
    """lib64 and bin as the driver's installer leaves them: file with the version, .so.1 and .so as links."""
    lib, programs = node.driver / "lib64", node.driver / "bin"
    lib.mkdir(parents=True)
    programs.mkdir()
    for stem in LIBRARIES.values():
        shutil.copy2(made / f"{stem}.so", lib / f"{stem}.so.{node.driver_version}")
        (lib / f"{stem}.so.1").symlink_to(f"{stem}.so.{node.driver_version}")
        (lib / f"{stem}.so").symlink_to(f"{stem}.so.1")
    shutil.copy2(made / "nvidia-smi", programs / "nvidia-smi")
    node.restore()
    (node.live / "events").touch()


def lay_out_files(node: dict[str, Any], into: Path) -> None:
    for folder in ("sys-bus-pci", "proc-driver", "sys-module"):
        (into / folder).mkdir()
    places = {SYS_PCI: "sys-bus-pci", PROC: "proc-driver", "/sys/module/": "sys-module"}
    for path, text in node["files"].items():
        if place := inside(path, places, into):
            place.write_text(text, encoding="utf-8")
    for path, to in node["links"].items():
        if place := inside(path, places, into):
            place.symlink_to(to)


def inside(path: str, places: dict[str, str], into: Path) -> Path | None:
    """Where a file of the capture goes; None for files that are kept for reading only, such as os-release."""
    for prefix, folder in places.items():
        if path.startswith(prefix):
            place = into / folder / path.removeprefix(prefix)
            if ".." in place.parts:
                raise ReplayError(f"a capture names the path {path}")
            place.parent.mkdir(parents=True, exist_ok=True)
            return place
    return None
