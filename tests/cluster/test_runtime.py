"""A handler that a provisioner has overwritten is put back into a real containerd, stays, and is taken out again."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import Testbed
from testbed.cluster import BUSYBOX
from testbed.node import Node
from tests.cluster.product import Gpuready, json_of

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
Files = dict[str, str]
FIX = ("doctor", "--fix", "--yes", "--allow=restart-runtime")
UNDO = ("apply", "--undo", "--yes", "--allow=restart-runtime")
NS = "handlers"
KILLER = Path(__file__).with_name("killer.py")
NVIDIA = "usr/bin/nvidia-container-runtime"
OURS = "conf.d/99-gpuready-nvidia.toml"


class Machine:
    """The files of containerd on a node, and the provisioner that writes them from its template."""

    def __init__(self, node: Node) -> None:
        self.node, self.folder = node, node.root / "etc/containerd"
        self.template = (self.folder / "config.toml").read_text()

    def files(self) -> Files:
        found = [p for p in self.folder.glob("**/*.toml") if p.name != "hosts.toml"]
        return {str(p.relative_to(self.folder)): p.read_text() for p in found}

    def provision(self, *, imports: bool = True) -> None:
        """Its template over whatever is there, and a restart, as a configuration management does it."""
        kept = [line for line in self.template.splitlines() if imports or not line.startswith("imports")]
        (self.folder / "config.toml").write_text("\n".join(kept) + "\n")
        self.node.stop_containerd()
        self.node.start_containerd()

    def keeper(self, number: signal.Signals) -> None:
        """To the process that starts containerd again when it has ended."""
        keeper = self.node.space.process("containerd")
        assert keeper is not None
        keeper.send(number)


@pytest.fixture
def machine(testbed: Testbed) -> Iterator[Machine]:
    """With a stand-in for NVIDIA's runtime: runc by another name."""
    node = testbed.nodes[0]
    runc = node.run(["which", "runc"], capture_output=True, text=True, check=True).stdout.strip()
    stand_in = node.root / NVIDIA
    stand_in.symlink_to(runc)
    machine = Machine(node)
    yield machine
    stand_in.unlink()
    machine.keeper(signal.SIGCONT)
    shutil.rmtree(machine.folder / "conf.d", ignore_errors=True)
    machine.provision()
    node.wait_ready()


@pytest.fixture
def ask(testbed: Testbed) -> Iterator[Callable[[str], None]]:
    """Creates a pod that asks for the handler."""
    testbed.kubectl("create", "namespace", NS)
    runtime_class = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": "nvidia"}}
    create(testbed, {**runtime_class, "handler": "nvidia"})
    for _ in range(100):
        if "default" in testbed.kubectl("get", "serviceaccounts", "-n", NS, "-o", "name"):
            break
        time.sleep(0.1)

    def pod(name: str) -> None:
        main = {"name": "main", "image": BUSYBOX, "command": ["sleep", "600"]}
        spec = {"containers": [main], "terminationGracePeriodSeconds": 0, "runtimeClassName": "nvidia"}
        spec["nodeName"] = testbed.nodes[0].name  # the one of `machine`
        meta = {"name": name, "namespace": NS}
        create(testbed, {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec})

    yield pod
    testbed.kubectl("delete", "runtimeclass", "nvidia")
    testbed.kubectl("delete", "namespace", NS)


def create(testbed: Testbed, obj: Json) -> None:
    done = testbed.run(["kubectl", "create", "-f", "-"], input=json.dumps(obj), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def until(holds: Callable[[], Any], what: str, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what
        time.sleep(1)


def phase(testbed: Testbed, name: str) -> str:
    return testbed.kubectl("get", "pod", "-n", NS, name, "-o", "jsonpath={.status.phase}").strip()


def causes(product: Gpuready) -> list[str]:
    diagnosis: Any = json_of(product.run("doctor", "-o", "json").stdout)
    return [cause["found"]["rule"] for cause in diagnosis["causes"]]


def fails(product: Gpuready) -> None:
    until(lambda: "runtime-handler-missing" in causes(product), "the doctor names the handler")


def starts(testbed: Testbed, name: str) -> None:
    until(lambda: phase(testbed, name) == "Running", f"{name} runs")


def test_a_handler_is_put_back_stays_and_is_taken_out(
    admin: Gpuready, machine: Machine, ask: Callable[[str], None]
) -> None:
    testbed, before = admin.testbed, machine.files()
    ask("first")
    fails(admin)
    refused = admin.run("doctor", "--fix", "--yes")
    assert refused.returncode == 1
    assert "add --allow=restart-runtime if that is wanted" in refused.stderr
    assert machine.files() == before
    done = admin.grant("mender", "doctor --fix").run(*FIX)
    assert phase(testbed, "first") == "Running", done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path: text for path, text in machine.files().items() if path != OURS} == before

    machine.provision()  # it overwrites config.toml, and the entry is not there
    ask("second")
    starts(testbed, "second")

    machine.provision(imports=False)
    ask("third")
    fails(admin)
    assert phase(testbed, "third") == "Pending"
    without = machine.files()
    done = admin.run(*FIX)
    assert phase(testbed, "third") == "Running", done.stdout + done.stderr
    assert machine.files()[OURS] == without[OURS]
    assert machine.files()["config.toml"] != without["config.toml"]

    admin.ok(*UNDO)
    del without[OURS]
    assert machine.files() == without
    ask("fourth")
    fails(admin)


@pytest.mark.parametrize(("after", "then"), [("intent", "undo"), ("act", "undo"), ("act", "resume")])
def test_killed_in_the_middle(
    admin: Gpuready, machine: Machine, ask: Callable[[str], None], after: str, then: str
) -> None:
    testbed, before = admin.testbed, machine.files()
    ask("first")
    fails(admin)
    step = f"{after} mend runtime-handler-missing: configure node/node1 nvidia"
    log = admin.folder / "points"
    argv = [sys.executable, str(KILLER), step, str(log), "--", *FIX]
    done = subprocess.run(argv, cwd=admin.folder, env=admin.environment(), capture_output=True, text=True, timeout=240)
    assert done.returncode == -signal.SIGKILL, done.stdout + done.stderr
    if then == "resume":
        admin.ok("apply", "--resume", "--yes", "--take-over")
        starts(testbed, "first")
        assert {path: text for path, text in machine.files().items() if path != OURS} == before
    admin.ok(*UNDO, "--take-over")
    assert machine.files() == before


def test_a_runtime_that_does_not_come_back_gets_its_files_as_they_were(
    admin: Gpuready, machine: Machine, ask: Callable[[str], None]
) -> None:
    before = machine.files()
    ask("first")
    fails(admin)
    machine.keeper(signal.SIGSTOP)

    def goes_on() -> None:
        """As if it had been the change that kept containerd from coming back."""
        until((machine.folder / OURS).exists, "the change is there")
        until(lambda: machine.files() == before, "the change is taken back")
        machine.keeper(signal.SIGCONT)

    watcher = threading.Thread(target=goes_on)
    watcher.start()
    done = admin.run(*FIX, timeout=300)
    watcher.join()
    assert done.returncode == 1, done.stdout
    assert "did not come back with the change; its files are as before and it runs again" in done.stderr, done.stderr
    assert machine.files() == before
    admin.ok(*UNDO)


def test_without_the_program_nothing_is_written_and_once_it_is_there_the_run_goes_on(
    admin: Gpuready, machine: Machine, ask: Callable[[str], None]
) -> None:
    before = machine.files()
    program = machine.node.root / NVIDIA
    runc = program.readlink()
    program.unlink()
    ask("first")
    fails(admin)
    done = admin.run(*FIX)
    program.symlink_to(runc)
    assert done.returncode == 1, done.stdout
    assert f"node/node1 has none of /{NVIDIA}, " in done.stderr
    assert machine.files() == before
    admin.ok("apply", "--resume", "--yes")
    starts(admin.testbed, "first")
    admin.ok(*UNDO)
    assert machine.files() == before
