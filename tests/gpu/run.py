"""The whole product on a machine with a real GPU and without network; writes what was done and seen.

    python3 tests/gpu/run.py CARRIED OUT                    as root; CARRIED is what tests/gpu/pack.py made
    python3 tests/gpu/run.py CARRIED OUT --replay CAPTURE   a rehearsal on a machine without a GPU

Needs this source tree, Python 3.11 or newer with nothing installed, and the driver at /usr/local/nvidia. In OUT:
summary.md, summary.json, the capture, both CDI documents, a page of metrics, logs.tar.xz. Exit status 0 when every step
was ok, 2 when one was not.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from testbed import Testbed
from testbed.binaries import KUBERNETES
from testbed.cluster import destroy
from tests.gpu import report, smi
from tests.gpu.record import Failed, Record, Step, read

ROOT = Path(__file__).resolve().parents[2]
NAME = "gpu"  # of the testbed
DRIVER = Path("/usr/local/nvidia")
ROOTS = ("/usr/local/nvidia", "/run/nvidia/driver", "/")
LEAST = 100  # seconds that a root needs; with less left it is not begun
WHEEL = re.compile(r"(?P<name>.+?)-(?P<version>[^-]+)-(?P<python>[^-]+)-(?P<abi>[^-]+)-(?P<platform>[^-]+)\.whl")
# Python 3.12 warns without it, 3.11.3 and older do not have it
FILTER: dict[str, Any] = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
LOG_LIMIT = 8 << 20  # bytes of one log file that come back


class Run:
    """Everything below one work folder, which is gone at the end."""

    def __init__(self, options: argparse.Namespace, work: Path) -> None:
        self.options, self.work = options, work
        self.began = time.monotonic()
        self.out = work / "out"
        self.out.mkdir()
        options.out.mkdir(parents=True, exist_ok=True)
        self.record = Record(self.out / "record.jsonl", "machine")
        self.machine: dict[str, str] = {}
        os.environ["GPUREADY_TESTBED_CACHE"] = str(work / "testbed")
        # the interpreter beneath a virtual environment: what that has installed is no part of the product
        base = getattr(sys, "_base_executable", None) or sys.executable
        self.python = os.path.realpath(base)
        self.env = {"PYTHONPATH": f"{ROOT}/src:{work}/site", "PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1"}

    def left(self) -> float:
        return float(self.options.budget - (time.monotonic() - self.began))

    def all(self) -> None:
        with self.record.step("unpack") as step:
            self.unpack(step)
        if step.ok:
            with self.record.step("preflight") as step:
                self.preflight(step)
        if step.ok:
            if not self.options.replay:
                with self.record.step("capture") as capture:
                    self.capture(capture)
            for position, root in enumerate(self.options.roots):
                self.root(root, full=position == 0)
                self.summary()
        self.summary()

    # before

    def unpack(self, step: Step) -> None:
        for name in ("binaries", "rest"):
            with tarfile.open(self.options.carried / f"{name}.tar.xz") as archive:
                archive.extractall(self.work, **FILTER)
        site = self.work / "site"
        chosen = [path for path in sorted((self.work / "wheels").glob("*.whl")) if fits(path.name)]
        for wheel in chosen:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
        self._describe_product(site)
        lacking = self._missing_libraries()
        step.said = f"{len(chosen)} wheels for Python {platform.python_version()}" + (f"; {lacking}" if lacking else "")
        step.evidence["wheels"] = [path.name for path in chosen]

    @staticmethod
    def _describe_product(site: Path) -> None:
        """What an installed gpuready would say it requires: `image push` packs that. The code runs from the tree."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in project["dependencies"]]
        folder = site / f"{project['name']}-{project['version']}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text("\n".join(lines) + "\n")

    def _missing_libraries(self) -> str:
        """Debian's runc is linked to libseccomp; put it beside the system's own where a machine has none."""
        told = subprocess.run(["ldd", str(self.work / "cache/bin/runc")], capture_output=True, text=True).stdout
        if "not found" not in told:
            return ""
        place = Path("/usr/lib/x86_64-linux-gnu/libseccomp.so.2")
        shutil.copyfile(self.work / "cache/lib/libseccomp.so.2", place)
        return f"copied {place}"

    def preflight(self, step: Step) -> None:
        release = dict(
            line.partition("=")[::2] for line in Path("/etc/os-release").read_text().splitlines() if "=" in line
        )
        unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
        self.machine = {
            "system": release.get("PRETTY_NAME", "?").strip('"'),
            "kernel": platform.release(),
            "Python": f"{platform.python_version()} ({self.python})",
            "processors": f"{os.cpu_count()}",
            "cgroups": "version 2" if unified else "version 1",
            "kubernetes": KUBERNETES,
        }
        if self.options.replay:
            self.machine |= {"replayed": self.options.replay.stem}
            step.said = f"a rehearsal with {self.options.replay.stem}"
            return
        if not (DRIVER / "lib64/libnvidia-ml.so.1").exists():
            raise Failed(f"the driver is not at {DRIVER}: no lib64/libnvidia-ml.so.1")
        seen = smi.on_machine(str(DRIVER)).read()
        named = {"gpu": "name", "driver": "driver_version", "CUDA": "cuda", "memory, MiB": "memory.total"}
        self.machine |= {what: seen.get(field, "?") for what, field in named.items()}
        self.machine["GPUs"] = seen.get("count", "?")
        self.machine["device nodes"] = " ".join(sorted(p.name for p in Path("/dev").glob("nvidia*")))
        self.machine["driver mounted"] = _mount_of(DRIVER)
        step.said = f"{seen['count']} x {seen['name']}, driver {seen['driver_version']}"

    def capture(self, step: Step) -> None:
        target = self.out / f"{self.options.capture}.json"
        argv = [self.python, str(ROOT / "testbed/capture.py"), str(target), "--name", self.options.capture]
        done = subprocess.run(argv, env={**os.environ, **self.env}, capture_output=True, text=True, timeout=120)
        if done.returncode != 0:
            raise Failed(f"exit {done.returncode}: {(done.stdout + done.stderr)[-900:]}")
        said = (done.stderr + done.stdout).strip().replace(str(self.out) + "/", "")
        step.said = " ".join(said.splitlines())

    # one root

    def root(self, root: str, *, full: bool) -> None:
        record = Record(self.record.file, root)
        if self.left() < LEAST:
            record.skip("the whole life", f"{self.left():.0f} s were left of {self.options.budget:.0f}")
            return
        try:
            with record.step("testbed: nothing to node Ready") as step:
                began = time.monotonic()
                testbed = self._up(root)
                record.figure("testbed: nothing to node Ready", round(time.monotonic() - began, 1), "s")
                step.said = f"Kubernetes {KUBERNETES}, one node, its driver at {root}"
            if step.ok:
                with record.step("the life as a whole") as life:
                    self._live(testbed, root, full, life)
                self._keep_logs(testbed, root)
        finally:
            with record.step("testbed: ended, nothing left") as down:
                destroy(NAME)
                down.said = self._left_over()

    def _up(self, root: str) -> Testbed:
        capture = self.options.replay
        return Testbed.up(
            1,
            name=NAME,
            binaries=self.work / "cache",
            pki=self.work / "pki",
            driver_root=root,
            replay={"node1": capture} if capture else {},
            machine_gpus=() if capture else ("node1",),
            say=lambda line: print(f"        {line}", flush=True),
        )

    def _live(self, testbed: Testbed, root: str, full: bool, step: Step) -> None:
        script = str(Path(__file__).with_name("life.py"))
        argv = [self.python, script, "--root", root, "--out", str(self.out), "--program", str(self.work / "vadd")]
        argv += ["--seconds", str(self.options.seconds), *(["--full"] if full else [])]
        argv += ["--replayed"] if self.options.replay else []
        sys.stdout.flush()
        patience = max(60.0, self.left() - 20)
        done = testbed.run(argv, env=self.env, stderr=subprocess.PIPE, text=True, timeout=patience)
        if done.returncode != 0:
            raise Failed(f"exit {done.returncode}: {done.stderr[-1500:]}")
        step.said = "all its steps were begun"

    def _keep_logs(self, testbed: Testbed, root: str) -> None:
        """The processes' and the pods' logs, before the testbed is gone."""
        place = self.out / "logs" / ("".join(c if c.isalnum() else "-" for c in root.strip("/")) or "root")
        with contextlib.suppress(OSError):
            pods = testbed.node("node1").root / "var/log/pods"
            for top, name in ((testbed.settings.state / "log", "testbed"), (pods, "pods")):
                for file in (path for path in top.rglob("*.log") if path.is_file()):
                    target = place / name / file.relative_to(top)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with file.open("rb") as source:
                        target.write_bytes(source.read(LOG_LIMIT))

    def _left_over(self) -> str:
        mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(self.work) in line]
        groups = [path.name for path in Path("/sys/fs/cgroup").glob(f"**/gpuready-testbed-{NAME}-*")]
        if mounts or groups:
            raise Failed(f"left: {mounts} {groups}")
        return "no mount, no cgroup"

    # after

    def summary(self) -> None:
        """Write everything again, redacted: what is there survives a run that is cut off."""
        host = socket.gethostname()
        lines = read(self.record.file)
        day = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
        self.machine["seconds in all"] = f"{time.monotonic() - self.began:.0f}"
        texts = {
            "summary.md": report.markdown(lines, self.machine, day),
            "summary.json": json.dumps({"machine": self.machine, **lines}, indent=1) + "\n",
        }
        for file in [*self.out.glob("*.json"), self.out / "metrics.txt"]:
            if file.exists():
                texts[file.name] = file.read_text()
        for name, text in texts.items():
            is_capture = name == f"{self.options.capture}.json"  # redacted by the capture itself, consistently
            (self.options.out / name).write_text(text if is_capture else report.redacted(text, host))
        if (self.out / "logs").exists():
            with tarfile.open(self.options.out / "logs.tar.xz", "w:xz") as archive:
                archive.add(self.out / "logs", "logs")
                archive.add(self.record.file, "record.jsonl")


def fits(wheel: str) -> bool:
    """Whether this Python can import what is in the wheel (PEP 425 tags, Linux on x86-64)."""
    match = WHEEL.fullmatch(wheel)
    if match is None:
        return False
    mine = f"cp{sys.version_info.major}{sys.version_info.minor}"
    stable = match["abi"] == "abi3" and int(match["python"].split(".")[0].removeprefix("cp3")) <= sys.version_info.minor
    return stable or "py3" in match["python"].split(".") or match["python"] == mine


def _mount_of(path: Path) -> str:
    """How a folder is mounted, as /proc/self/mountinfo has it; empty for an ordinary one."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        words = line.split()
        if words[4] == str(path):
            return f"{words[words.index('-') + 1]}, {words[5]}"
    return ""


@contextlib.contextmanager
def work_folder(keep: bool) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gpuready-gpu-run-"))
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the whole product on a machine with a real GPU.")
    parser.add_argument("carried", type=Path, help="what tests/gpu/pack.py made")
    parser.add_argument("out", type=Path, help="folder for what was seen")
    parser.add_argument("--replay", type=Path, help="rehearse with this capture in place of a GPU")
    parser.add_argument("--capture", default="h100", help="name of the capture that is made (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="how long memory and processor are watched")
    parser.add_argument("--budget", type=float, default=540, help="seconds for all of it (default: %(default)s)")
    parser.add_argument("--roots", nargs="+", default=ROOTS, help="driver roots in turn; the first is measured on")
    parser.add_argument("--keep", action="store_true", help="leave the work folder where it is")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("run: a testbed needs root", file=sys.stderr)
        return 1
    with work_folder(options.keep) as work:
        run = Run(options, work)
        run.all()
        return 0 if all(step["result"] == "ok" for step in read(run.record.file)["step"]) else 2


if __name__ == "__main__":
    sys.exit(main())
