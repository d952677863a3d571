"""What nvidia-smi says of the same GPU, beside our metrics and labels."""

from __future__ import annotations

import csv
import io
import re
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from tests.gpu.record import Failed

FIELDS = (
    *("uuid", "name", "pci.bus_id", "driver_version", "compute_cap", "mig.mode.current", "count"),
    *("memory.total", "memory.reserved", "memory.used", "memory.free", "clocks.sm", "clocks.mem"),
    *("temperature.gpu", "temperature.memory", "power.draw"),
    *("utilization.gpu", "utilization.memory", "utilization.encoder", "utilization.decoder"),
)
# Only in nvidia-smi's XML
XML = {
    "cuda": "cuda_version",
    "replays": "gpu/pci/replay_counter",
    "remapped.correctable": "gpu/remapped_rows/remapped_row_corr",
    "remapped.uncorrectable": "gpu/remapped_rows/remapped_row_unc",
    "remapped.failure": "gpu/remapped_rows/remapped_row_failure",
}
SERIES = re.compile(r"(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
Page = dict[str, list[tuple[dict[str, str], float]]]
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Tolerance(NamedTuple):
    """How far the two may lie apart: in the series' unit, or as a part of the value; and why."""

    absolute: float
    part: float
    why: str


EXACT = Tolerance(0, 0, "")
CLOCK = Tolerance(30, 0, "the clock steps by 15 MHz and moves between two readings")
HEAT = Tolerance(2, 0, "moves between two readings")
POWER = Tolerance(5, 0.1, "moves between two readings")
LOAD = Tolerance(5, 0, "an average over the last second")
# our series (without DCGM_FI_DEV_): nvidia-smi's field, how near
PAIRS: dict[str, tuple[str, Tolerance]] = {
    "SM_CLOCK": ("clocks.sm", CLOCK),
    "MEM_CLOCK": ("clocks.mem", EXACT),
    "GPU_TEMP": ("temperature.gpu", HEAT),
    "MEMORY_TEMP": ("temperature.memory", HEAT),
    "POWER_USAGE": ("power.draw", POWER),
    "GPU_UTIL": ("utilization.gpu", LOAD),
    "MEM_COPY_UTIL": ("utilization.memory", LOAD),
    "ENC_UTIL": ("utilization.encoder", LOAD),
    "DEC_UTIL": ("utilization.decoder", LOAD),
    "FB_FREE": ("memory.free", Tolerance(1, 0, "rounded to MiB")),
    "FB_USED": ("memory.used", Tolerance(1, 0, "rounded to MiB")),
    "FB_RESERVED": ("memory.reserved", Tolerance(1, 0, "rounded to MiB")),
    "PCIE_REPLAY_COUNTER": ("replays", EXACT),
    "CORRECTABLE_REMAPPED_ROWS": ("remapped.correctable", EXACT),
    "UNCORRECTABLE_REMAPPED_ROWS": ("remapped.uncorrectable", EXACT),
    "ROW_REMAP_FAILURE": ("remapped.failure", EXACT),
}


@dataclass(frozen=True)
class Smi:
    """nvidia-smi, called by `run` (argv -> finished process) so that it may be on a node."""

    program: str
    libraries: str
    run: Callable[..., subprocess.CompletedProcess[str]]

    def _output(self, *args: str) -> str:
        done = self.run(
            [self.program, *args],
            env={"LD_LIBRARY_PATH": self.libraries, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=30,
        )
        if done.returncode != 0 and "is not a valid field" not in done.stdout:
            raise Failed(f"nvidia-smi {' '.join(args)}: exit {done.returncode}: {(done.stdout + done.stderr)[-400:]}")
        return done.stdout

    def read(self) -> dict[str, str]:
        """Every field that this nvidia-smi has, of GPU 0: field -> its text. Failed when it does not work."""
        wanted = list(FIELDS)
        while True:
            text = self._output("-i", "0", f"--query-gpu={','.join(wanted)}", "--format=csv,noheader,nounits")
            unknown = re.search(r'Field "([^"]+)" is not a valid field', text)
            if unknown is None:
                break
            wanted.remove(unknown[1])
        values = next(csv.reader(io.StringIO(text), skipinitialspace=True))
        return dict(zip(wanted, values, strict=True)) | self._xml()

    def _xml(self) -> dict[str, str]:
        tree = ElementTree.fromstring(self._output("-i", "0", "-q", "-x"))
        found = {name: tree.findtext(path) for name, path in XML.items()}
        return {name: text for name, text in found.items() if text is not None}


def on_machine(root: str = "/usr/local/nvidia") -> Smi:
    return Smi(f"{root}/bin/nvidia-smi", f"{root}/lib64", subprocess.run)


def parse(page: str) -> Page:
    """A page of metrics: name -> (labels, value) of each series."""
    found: Page = {}
    for line in page.splitlines():
        if match := SERIES.fullmatch(line):
            labels = dict(LABEL.findall(match["labels"] or ""))
            found.setdefault(match["name"], []).append((labels, float(match["value"])))
    return found


def number(text: str | None) -> float | None:
    """A number of nvidia-smi's; Yes and No count as 1 and 0; None for N/A and the like."""
    if text is None or text.strip().lower() in ("yes", "no"):
        return None if text is None else float(text.strip().lower() == "yes")
    try:
        return float(text)
    except ValueError:
        return None


def near(first: float, theirs: float, second: float, allowed: Tolerance) -> bool:
    """Whether nvidia-smi's reading lies between ours before and after it, as near as is allowed."""
    slack = max(allowed.absolute, allowed.part * abs(theirs))
    return min(first, second) - slack <= theirs <= max(first, second) + slack


def compare_metrics(before: str, smi: Mapping[str, str], after: str) -> list[dict[str, object]]:
    """A row for each series of ours: nvidia-smi was asked between two scrapes."""
    first, second = parse(before), parse(after)
    out: list[dict[str, object]] = []
    for name in sorted(key for key in first if key.startswith("DCGM_FI_DEV_")):
        short = name.removeprefix("DCGM_FI_DEV_")
        field, allowed = PAIRS.get(short, ("", EXACT))
        ours, later = first[name][0][1], second.get(name, first[name])[0][1]
        theirs = number(smi.get(field))
        row: dict[str, object] = {"name": short, "ours": ours, "later": later, "field": field or "-"}
        if theirs is None:
            said = smi.get(field, "nvidia-smi does not show it")
            out.append({**row, "theirs": said, "same": None, "why": ""})
            continue
        same = near(ours, theirs, later, allowed)
        out.append({**row, "theirs": theirs, "same": same, "why": allowed.why})
    for short in sorted(set(PAIRS) - {str(row["name"]) for row in out}):
        field = PAIRS[short][0]
        lacking = number(smi.get(field)) is not None  # a number that nvidia-smi has and we leave out
        row = {"name": short, "ours": "-", "later": "-", "field": field, "theirs": smi.get(field, "-")}
        out.append({**row, "same": not lacking, "why": ""})
    return out


def expected_labels(smi: Mapping[str, str], gpus: int, dmi: str) -> dict[str, str]:
    """The labels that follow from what nvidia-smi says, and from the machine's DMI product name."""
    driver, cuda, compute = (
        smi["driver_version"].split("."),
        smi.get("cuda", "?").split("."),
        smi["compute_cap"].split("."),
    )
    found = {
        "gpu.product": re.sub(r"\s+", "-", smi["name"].strip()),
        "gpu.count": str(gpus),
        "gpu.memory": smi["memory.total"],
        "gpu.compute.major": compute[0],
        "gpu.compute.minor": compute[1],
        "cuda.driver-version.full": smi["driver_version"],
        "cuda.driver-version.major": driver[0],
        "cuda.driver-version.minor": driver[1],
        "cuda.driver-version.revision": driver[2] if len(driver) > 2 else "",
        "cuda.runtime-version.full": ".".join(cuda),
        "cuda.runtime-version.major": cuda[0],
        "cuda.runtime-version.minor": cuda[-1],
        "mig.capable": "false" if "N/A" in smi.get("mig.mode.current", "N/A") else "true",
        "gpu.mode": "compute",
        "gpu.machine": re.sub(r"\s+", "-", re.sub(r"[^A-Za-z0-9\-_. ]", "", dmi).strip())[:63] or "unknown",
    }
    return {f"nvidia.com/{key}": value for key, value in found.items() if value}


def dmi_name() -> str:
    """The machine's product name; empty on one without DMI."""
    try:
        return Path("/sys/class/dmi/id/product_name").read_text().strip()
    except OSError:
        return ""
