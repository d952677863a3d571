"""One whole life of the product on a node with its driver at one root: up, verify, pods by CDI and by device nodes,
uninstall. Runs inside a testbed of one node; writes its record as it goes.

    python -m testbed --name gpu exec -- python tests/gpu/life.py --root /usr/local/nvidia --out DIR --program vadd
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from testbed import Testbed
from testbed.written import Entry
from tests.cluster.snapshot import differences, snapshot
from tests.gpu import cdi_compare, figures, smi, smi_sample
from tests.gpu.cluster import OWN_PATH, Cluster, driver_container, own_path_image, pod, program_image
from tests.gpu.record import Failed, Record

Json = dict[str, Any]
ELEMENTS = 1 << 20  # sums that the product's probe compares


class Life:
    """The steps, in order; each knows what it cannot do without."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.record = Record(options.out / "record.jsonl", options.root)
        folder = options.out / "".join(c if c.isalnum() else "-" for c in options.root.strip("/") or "root")
        folder.mkdir(parents=True, exist_ok=True)
        self.cluster = Cluster(Testbed.attach(), folder)
        self.images: dict[str, str] = {}
        self.told = ""  # by uninstall
        self.before: tuple[dict[str, Any], dict[str, Entry]] | None = None
        run = smi_sample.run if options.replayed else subprocess.run
        self.smi = smi.Smi("/usr/local/nvidia/bin/nvidia-smi", "/usr/local/nvidia/lib64", run)

    def run(self) -> None:
        if not self.make_images():
            return
        if self.options.root.startswith("/run/nvidia"):
            with self.record.step("a stand-in for the driver container's pod") as step:
                manifest = driver_container()
                self.cluster.create(manifest)
                self.cluster.wait_phase(manifest["metadata"]["name"], ("Running",))
                step.said = "label app=nvidia-driver-daemonset; the driver itself is the machine's, bind-mounted"
        with self.record.step("snapshot before: every object of the API, every file written on the node") as step:
            self.before = snapshot(self.cluster.testbed), self.cluster.files()
            step.said = f"{len(self.before[0])} objects, {len(self.before[1])} paths"
        if self.install():
            self.verify("cdi")
            self.doctor()
            self.pods("cdi")
            self.compare_cdi()
            if self.options.full:
                self.measure()
            if self.change_injection() or self.resume():
                self.verify("devices")
                self.pods("devices")
        self.uninstall()

    def make_images(self) -> bool:
        testbed = self.cluster.testbed
        with self.record.step("image made of this machine's Python and pushed; three more images") as step:
            target = f"{testbed.registry}/gpuready:gpu"
            began = time.monotonic()
            said = self.cluster.gpuready("image", "push", "--plain-http", target)
            if said.returncode != 0:
                raise Failed(f"image push: {(said.stdout + said.stderr)[-900:]}")
            self.record.figure(
                "image: made and pushed", round(time.monotonic() - began, 1), "s", said.stderr.splitlines()[0]
            )
            reference = said.stdout.strip().splitlines()[-1]
            program = program_image(testbed.registry, self.options.program)
            self.images = {
                "probe": reference,
                "probe-own": own_path_image(testbed.registry, reference),
                "program": program,
                "program-own": own_path_image(testbed.registry, program),
            }
            step.said = said.stderr.splitlines()[0]
            step.evidence |= self.images
        return step.ok

    def install(self) -> bool:
        with self.record.step("gpuready up --yes") as step:
            began = time.monotonic()
            text = self.cluster.ok("up", "--yes", "--image", self.images["probe"])
            took = time.monotonic() - began
            note = "from a bare node, the pull of the image included, to the verdict"
            self.record.figure("gpuready up", round(took, 1), "s", note)
            step.said = text.strip().splitlines()[-1]
            step.evidence["output"] = text[-6000:]
            (self.cluster.folder / "up.txt").write_text(text)
        if not step.ok:
            return False
        with self.record.step("gpuready up again changes nothing") as again:
            text = self.cluster.ok("up", "--yes")
            if "nothing to do" not in text:
                raise Failed(f"it did something: {text[-600:]}")
            again.said = next(line for line in text.splitlines() if "nothing to do" in line)
        return step.ok

    def verify(self, injection: str) -> None:
        with self.record.step(f"gpuready verify, {injection}") as step:
            found = self.cluster.json("verify")
            replayed = self.options.replayed
            wrong = [v for v in found["verdicts"] if v["verdict"] != "PASS" or v["replayed"] != replayed]
            agent = found["agents"]["node1"]
            step.evidence |= {"verdicts": found["verdicts"], "driver": agent.get("driver"), "cuda": agent.get("cuda")}
            if wrong or not found["verdicts"] or agent.get("injection") != injection:
                raise Failed(f"verdicts {found['verdicts']}, injection {agent.get('injection')}")
            seconds = ", ".join(f"{v['verdict']} in {v['seconds']} s" for v in found["verdicts"])
            step.said = f"{seconds}; {found['removed']} of {found['probes']} probes removed"

    def doctor(self) -> None:
        """Silent on a node that is well: by the API and the agent, and by a look at the machine itself."""
        for options in ((), ("--host-facts", "--yes")):
            with self.record.step(" ".join(("gpuready doctor", *options))) as step:
                text = self.cluster.ok("doctor", *options)
                step.said = text.strip().splitlines()[-1]
                if "nothing is wrong" not in step.said:
                    raise Failed(text[-900:])

    def pods(self, injection: str) -> None:
        """Ordinary pods: our probe, and a C program in a bare image; each also with an LD_LIBRARY_PATH of its own."""
        arguments = ["probe", "cuda", "--node=node1", "--nonce=gpu-run", "--expect=1"]
        wanted = {
            "the product's probe": pod("probe", self.images["probe"], arguments),
            "the product's probe, its own path": pod("probe-own", self.images["probe-own"], arguments),
            "a C program and libc alone": pod("program", self.images["program"], [], ["/vadd"]),
            "a C program and libc alone, its own path": pod("program-own", self.images["program-own"], [], ["/vadd"]),
        }
        for name, manifest in wanted.items():
            with self.record.step(f"pod by {injection}: {name}") as step:
                result = self.cluster.run_pod(manifest)
                step.evidence["log"] = result.log[-1500:]
                if result.phase != "Succeeded":
                    raise Failed(f"{result.phase}: {result.log[-600:]}")
                run = _computed(json.loads(result.log.strip().splitlines()[-1]))
                if "library" in run and (run["LD_LIBRARY_PATH"] == OWN_PATH) != name.endswith("its own path"):
                    raise Failed(f"LD_LIBRARY_PATH in the container is {run['LD_LIBRARY_PATH']!r}")
                self.record.figure(f"pod by {injection}: {name}", result.seconds, "s", "from created to finished")
                where = f", libcuda from {run['library']}" if "library" in run else ""
                step.said = (
                    f"{run['elements']} sums right on {run['name']}{where}; {result.seconds} s from created to finished"
                )

    def measure(self) -> None:
        cluster, record = self.cluster, self.record
        figures.start(cluster, record)
        figures.metrics(cluster, record, self.smi, self.options.out / "metrics.txt")
        figures.labels(cluster, record, self.smi)
        figures.attribution(cluster, record, self.smi, self.images["program"])
        figures.allocate(cluster, record)
        figures.use(cluster, record, self.smi, self.options.seconds)
        figures.kubelet_restart(cluster, record)
        figures.agent_kill(cluster, record)
        with record.step("gpuready verify after both faults") as step:
            found = cluster.json("verify")["verdicts"]
            if [v["verdict"] for v in found] != ["PASS"]:
                raise Failed(str(found))
            step.said = "PASS"

    def compare_cdi(self) -> None:
        root = self.options.root
        with self.record.step("CDI document beside nvidia-ctk cdi generate") as step:
            ours = self.cluster.cdi()
            command = ["nvidia-ctk", "cdi", "generate", "--format=json", f"--driver-root={root}", "--dev-root=/"]
            done = self.cluster.node.run(command, capture_output=True, text=True, timeout=60)
            if done.returncode != 0:
                raise Failed(f"nvidia-ctk: exit {done.returncode}: {done.stderr[-900:]}")
            theirs = json.loads(done.stdout)
            uuid = next(device["name"] for device in ours["devices"] if device["name"].startswith("GPU-"))
            rows = cdi_compare.rows(ours, theirs, uuid)
            if self.options.full:
                for name, document in (("cdi-ours.json", ours), ("cdi-nvidia.json", theirs)):
                    (self.options.out / name).write_text(json.dumps(document, indent=1) + "\n")
                for row in rows:
                    self.record.compared("cdi", row._asdict())
            step.said = summed(rows)
            step.evidence["loadable only by NVIDIA's"] = [
                r.field for r in rows if r.part == "name to load" and r.ours == "-"
            ]
            step.evidence["loadable only by ours"] = [
                r.field for r in rows if r.part == "name to load" and r.theirs == "-"
            ]

    def change_injection(self) -> bool:
        with self.record.step("agent.injection changed to devices in gpuready.yaml, gpuready apply --yes") as step:
            spec = self.cluster.folder / "gpuready.yaml"
            lines = spec.read_text().splitlines()
            position = next(i for i, line in enumerate(lines) if line.strip().startswith("injection:"))
            lines[position] = lines[position].partition("injection:")[0] + "injection: devices"
            spec.write_text("\n".join(lines) + "\n")
            began = time.monotonic()
            text = self.cluster.ok("apply", "--yes")
            self.record.figure("gpuready apply, injection changed", round(time.monotonic() - began, 1), "s")
            step.evidence["output"] = text[-5000:]
            sets = self.cluster.object("/apis/apps/v1/namespaces/gpuready-system/daemonsets")["items"]
            names = [item["metadata"]["name"] for item in sets]
            left = self.cluster.node.run(["ls", "/var/run/cdi"], capture_output=True, text=True).stdout.split()
            step.said = f"DaemonSets now: {', '.join(names)}; in /var/run/cdi: {', '.join(left) or 'nothing'}"
        return step.ok

    def resume(self) -> bool:
        """After an apply that failed: what its message says to do next."""
        with self.record.step("gpuready apply --resume --yes, after the failure") as step:
            step.said = self.cluster.ok("apply", "--resume", "--yes").strip().splitlines()[-1]
        return step.ok

    def uninstall(self) -> None:
        with self.record.step("gpuready uninstall --yes") as step:
            began = time.monotonic()
            self.told = self.cluster.ok("uninstall", "--yes")
            self.record.figure("gpuready uninstall", round(time.monotonic() - began, 1), "s")
            step.said = " ".join(self.told[self.told.rfind("everything of") :].split())
            step.evidence["output"] = self.told[-5000:]
        if not step.ok:
            with self.record.step("gpuready apply --undo --yes and uninstall --yes, after the failure") as again:
                self.cluster.ok("apply", "--undo", "--yes")
                self.told = self.cluster.ok("uninstall", "--yes")
                again.said = self.told.strip().splitlines()[-1]
        if self.before is None:
            return
        with self.record.step("snapshot after: what is left of it") as step:
            objects, files = snapshot(self.cluster.testbed), self.cluster.files()
            left = differences(self.before[0], objects) + differences(self.before[1], files)
            step.evidence["differences"] = left
            untold = [entry for entry in left if entry not in KNOWN or KNOWN[entry] not in self.told]
            if untold:
                raise Failed(f"left, and uninstall does not say so: {'; '.join(untold)[:900]}")
            step.said = f"nothing but what uninstall says: {'; '.join(left) or 'nothing'}"


KNOWN = {  # what may be left, and the words by which uninstall tells of it
    "+ Node//node1: status: capacity: nvidia.com/gpu": "nvidia.com/gpu: 0",
    "+ Node//node1: status: allocatable: nvidia.com/gpu": "nvidia.com/gpu: 0",
    "+ run/cdi": "/var/run/cdi",
}


def summed(rows: list[cdi_compare.Row]) -> str:
    parts: dict[str, list[bool]] = {}
    for row in rows:
        parts.setdefault(row.part, []).append(row.same)
    return "; ".join(f"{part}: {sum(same)} of {len(same)} fields equal" for part, same in parts.items())


def _computed(report: Json) -> Json:
    """What computed, of either program's report; Failed when a sum was wrong or none was made."""
    run = report if "wrong" in report else (report.get("gpus") or [{}])[0]
    wanted = 50_000 if "library" in run else ELEMENTS
    if report.get("error") or run.get("error") or run.get("wrong") != 0 or run.get("elements") != wanted:
        raise Failed(json.dumps(report)[:900])
    return run


def main() -> int:
    parser = argparse.ArgumentParser(description="One life of the product, inside a testbed.")
    parser.add_argument("--root", required=True, help="where the node has its driver")
    parser.add_argument("--out", type=Path, required=True, help="folder of the record")
    parser.add_argument("--program", type=Path, required=True, help="the compiled vadd.c")
    parser.add_argument("--seconds", type=float, default=60, help="how long memory and processor are watched")
    parser.add_argument("--full", action="store_true", help="measure too, and keep the documents compared")
    parser.add_argument("--replayed", action="store_true", help="the GPU is a recording, and so is nvidia-smi")
    Life(parser.parse_args()).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
