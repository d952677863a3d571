"""What the doctor learns of machines: from the agent's page, and from a pod that looks and leaves nothing behind."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpuready.model.facts.host import HostFacts
from gpuready.model.names import NAMESPACE
from gpuready.model.unknown import Unknown
from testbed import Node
from testbed.cluster import BUSYBOX
from tests.cluster.agent import METRICS_PORT, agent_pid, agent_pod, memory_mib
from tests.cluster.product import GPUREADY, Gpuready, json_of
from tests.cluster.snapshot import settled, snapshot

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
CONFIG = "etc/containerd/config.toml"
SECTION = 'plugins."io.containerd.cri.v1.runtime".containerd.runtimes.nvidia'
ENTRY = (
    f'version = 3\n[{SECTION}]\nruntime_type = "io.containerd.runc.v2"\n[{SECTION}.options]\nBinaryName = "BINARY"\n'
)
GPU = {"limits": {"nvidia.com/gpu": "1"}}


@pytest.fixture
def node(admin: Gpuready) -> Node:
    return admin.testbed.node("node1")


@pytest.fixture
def pods(admin: Gpuready) -> Iterator[Callable[..., None]]:
    """Creates pods on node1, and takes them away again, their RuntimeClass too."""
    kubectl = admin.testbed.kubectl

    def create(name: str, **spec: Any) -> None:
        container = {"name": "main", "image": BUSYBOX, "command": ["sleep", "600"], **spec.pop("container", {})}
        whole = {"containers": [container], "terminationGracePeriodSeconds": 0, "nodeName": "node1", **spec}
        obj = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": whole}
        apply(admin, obj)

    yield create
    kubectl("delete", "pods", "--all", "-n", "default", "--force", "--grace-period=0")
    kubectl("delete", "runtimeclass", "nvidia", "--ignore-not-found")


def apply(admin: Gpuready, obj: Json) -> None:
    done = admin.testbed.run(["kubectl", "apply", "-f", "-"], input=json.dumps(obj), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def runtime_class(admin: Gpuready) -> None:
    meta = {"name": "nvidia"}
    apply(admin, {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": meta, "handler": "nvidia"})


def asked(doctor: Gpuready, rule: str, *options: str, so: frozenset[str] = frozenset()) -> Json:
    """The cause of this rule, once the doctor names it and what follows from it."""
    end = time.monotonic() + 90
    while True:
        done = doctor.run("doctor", "-o", "json", *options)
        assert done.stdout, done.stderr
        diagnosis: Any = json_of(done.stdout)
        found = {cause["found"]["rule"]: cause for cause in diagnosis["causes"]}
        if rule in found and so <= set(consequences(found[rule])):
            return dict(found[rule])
        assert time.monotonic() < end, f"{rule} is not among {list(found)}\n{done.stdout}\n{done.stderr}"
        time.sleep(2)


def consequences(cause: Mapping[str, Any]) -> list[str]:
    return sorted({one["rule"] for one in cause["so"]})


def page(admin: Gpuready) -> HostFacts:
    name = agent_pod(admin.testbed)["metadata"]["name"]
    text = admin.testbed.kubectl(
        "get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:{METRICS_PORT}/proxy/host"
    )
    return msgspec.json.decode(text, type=HostFacts)


def test_the_agent_tells_the_state_of_its_node_and_stays_small(admin: Gpuready) -> None:
    admin.ok("up", "--yes")
    doctor = admin.grant("doctor", "doctor")
    done = doctor.run("doctor")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for _ in range(20):
        facts = page(admin)
    assert (facts.node, facts.replayed, facts.cdi_folders) == ("node1", True, ("/var/run/cdi",))
    assert isinstance(facts.kernel_driver_version, str)
    assert {spec.path: (spec.missing, spec.problem) for spec in known(facts.cdi_specs)} == {
        "/var/run/cdi/gpuready.dev-gpu.json": ((), "")
    }
    assert known(facts.plugin_sockets) == ("nvidia-gpu.sock",)
    assert known(facts.runtimes, Unknown).ask == "gpuready doctor --host-facts"
    assert memory_mib(agent_pid(admin.testbed))["VmHWM"] < 80


def known(value: Any, kind: type = tuple) -> Any:
    assert isinstance(value, kind), value
    return value


def test_a_look_at_the_nodes_leaves_nothing_behind(admin: Gpuready, tmp_path: Path) -> None:
    before = settled(admin.testbed)
    done = admin.run("doctor", "--host-facts", "--node", "node1", "-o", "json")
    assert (done.returncode, "--yes was not given" in done.stderr) == (1, True)
    assert snapshot(admin.testbed) == before
    bundle = str(tmp_path / "b.tar.gz")
    live = admin.run("doctor", "--host-facts", "--node", "node1", "--yes", "-o", "json")
    assert "host facts: a pod in namespace gpuready-system on each of 1 nodes: node1" in live.stderr
    admin.ok("collect", "--host-facts", "--node", "node1", "--yes", "-f", bundle)
    assert admin.run("doctor", "--from", bundle, "-o", "json").stdout == live.stdout
    assert settled(admin.testbed) == before


def test_nobody_is_asked_twice_for_an_image(admin: Gpuready) -> None:
    nameless = Gpuready(admin.testbed, admin.folder, "", admin.kubeconfig)
    done = nameless.run("doctor", "--host-facts", "--node", "node1", "--yes")
    assert done.returncode == 1
    assert "no image is known from which the pods of --host-facts could be made" in done.stderr
    stranger = admin.run("doctor", "--host-facts", "--node", "nobody", "--yes")
    assert (stranger.returncode, "there is no node nobody" in stranger.stderr) == (1, True)


def test_a_handler_that_the_configuration_does_not_have_and_then_has(
    admin: Gpuready, node: Node, pods: Callable[..., None]
) -> None:
    admin.ok("up", "--yes")
    doctor = admin.grant("hosts", "doctor --host-facts")
    look = ("--host-facts", "--node", "node1", "--yes")
    runtime_class(admin)
    pods("cuda", runtimeClassName="nvidia", container={"resources": GPU})
    missing = asked(doctor, "runtime-handler-missing", *look)["found"]["finding"]
    assert f"/{CONFIG}: handlers runc" in missing["evidence"]
    assert "pod/default/cuda has runtimeClassName nvidia" in missing["evidence"]

    drop_in = node.root / "etc/containerd/conf.d/99-nvidia.toml"
    drop_in.parent.mkdir(exist_ok=True)
    try:
        drop_in.write_text(ENTRY.replace("BINARY", "/usr/bin/env"))
        unread = asked(doctor, "runtime-not-restarted", *look)
        assert "runtime-handler-missing" in consequences(unread)
        drop_in.write_text(ENTRY.replace("BINARY", "/usr/bin/nvidia-container-runtime"))
        program = asked(doctor, "toolkit-not-installed", *look)["found"]["finding"]
        assert "/usr/bin/nvidia-container-runtime is not there" in program["evidence"]
        drop_in.write_text("version = 3\n[plugins\n")
        broken = asked(doctor, "runtime-config-broken", *look)["found"]["finding"]
        assert broken["evidence"] == [
            f"/{CONFIG}: /etc/containerd/conf.d/99-nvidia.toml: Expected ']' at the end of a table declaration"
            " (at line 2, column 9)"
        ]
    finally:
        drop_in.unlink(missing_ok=True)


def test_a_cdi_file_that_names_what_is_gone(admin: Gpuready, node: Node, pods: Callable[..., None]) -> None:
    admin.ok("up", "--yes")
    doctor = admin.grant("doctor", "doctor")
    ours = node.root / "run/cdi/gpuready.dev-gpu.json"
    spec = json.loads(ours.read_text())
    spec["containerEdits"]["deviceNodes"].append({"path": "/dev/nvidia-gone"})
    ours.write_text(json.dumps(spec))
    pods("cuda", container={"resources": GPU})
    stale = asked(doctor, "cdi-spec-stale")["found"]["finding"]
    assert (stale["at"], stale["evidence"]) == (
        "node/node1",
        ["/var/run/cdi/gpuready.dev-gpu.json: /dev/nvidia-gone is not there"],
    )


def test_an_interrupted_look_takes_its_pod_away(admin: Gpuready) -> None:
    before = settled(admin.testbed)
    command = [GPUREADY, "doctor", "--host-facts", "--node", "node1", "--yes"]
    with subprocess.Popen(
        command,
        cwd=admin.folder,
        env=admin.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    ) as run:
        end = time.monotonic() + 60
        while "gpuready-host-node1" not in admin.testbed.kubectl("get", "pods", "-A", "-o", "name"):
            assert time.monotonic() < end
            time.sleep(0.05)
        run.send_signal(signal.SIGINT)
        said, _ = run.communicate(timeout=60)
    assert run.returncode != 0
    assert "Traceback" not in said
    assert settled(admin.testbed) == before


def test_a_gpu_that_fell_off_the_bus_and_what_follows(admin: Gpuready, node: Node) -> None:
    admin.ok("up", "--yes")
    doctor = admin.grant("doctor", "doctor")
    gpus = node.replayed()
    try:
        gpus.xid(0, 79)
        cause = asked(doctor, "gpu-fell-off-bus", so=frozenset({"gpu-failed", "gpus-not-allocatable"}))
        assert any(e.startswith("agent on node/node1, GPU 0: Xid 79") for e in cause["found"]["finding"]["evidence"])
    finally:
        gpus.restore()


def test_an_agent_that_the_kubelet_does_not_know(admin: Gpuready, node: Node, pods: Callable[..., None]) -> None:
    """Without the kubelet's socket nobody can register; a pod that is in trouble puts the node in question."""
    admin.ok("up", "--yes")
    doctor = admin.grant("doctor", "doctor")
    socket = node.root / "var/lib/kubelet/device-plugins/kubelet.sock"
    hidden = socket.with_name("hidden.sock")
    socket.rename(hidden)
    try:
        pods("waits", container={"resources": GPU, "image": "192.0.2.10:5000/no/such:image"})
        rule = "device-plugin-not-registered-after-kubelet-restart"
        found = asked(doctor, rule)["found"]["finding"]
        assert found["says"] == "the agent runs, and the kubelet has not taken its registration"
    finally:
        hidden.rename(socket)
