"""What the demo's cluster answers is what the real API server answers: the demo's night on real nodes."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from gpuready.adapters.demo import cluster as demo
from gpuready.adapters.kube_connection import choose
from testbed import Testbed
from testbed.cluster import BUSYBOX
from tests.cluster.product import Gpuready
from tests.cluster.test_runtime import Machine, machine  # noqa: F401 (a fixture: containerd's files are put back)
from tests.contracts.exchanges import Form, Recorder, record, recorded, simulated, strangers


class HasTestbed(Protocol):
    testbed: Testbed


pytestmark = pytest.mark.cluster
NODE = "node1"
# ends when it is told to, and is started again
SIDECAR = ["sh", "-c", "trap 'exit 3' TERM; sleep 600 & wait"]


@pytest.fixture
def beds(testbed: Testbed) -> Iterator[None]:
    yield
    for name in (demo.ML, demo.CHECKS):
        testbed.kubectl("delete", "namespace", name, "--ignore-not-found")
    testbed.kubectl("delete", "runtimeclass", "nvidia", "--ignore-not-found")


@pytest.fixture
def real(admin: Gpuready, beds: None, machine: Machine, tmp_path: Path) -> dict[str, Form]:  # noqa: F811
    """The commands of the demo on the testbed, with a pod and checks as in the demo."""
    with Recorder(choose(admin.kubeconfig, env={})) as recorder:
        through = tmp_path / "kubeconfig"
        through.write_text(json.dumps(_kubeconfig(recorder.url)))
        user = Gpuready(admin.testbed, admin.folder, admin.image, through)
        user.ok("up", "--yes")
        night(admin)
        user.ok("status")
        assert user.run("doctor").returncode == 2
        fixed = user.run("doctor", "--fix", "--yes", "--allow", "delete-pod", "--allow", "restart-runtime").stdout
        assert re.findall(r"MENDED +(\S+)", fixed) == ["runtime-handler-missing", "gpu-held-by-running-sidecar"], fixed
        _until(lambda: "0 held" in user.ok("status"))
        user.ok("verify")
        return recorder.exchanges.found


def _kubeconfig(url: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "real",
        "clusters": [{"name": "real", "cluster": {"server": url}}],
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "real"}}],
        "users": [{"name": "real", "user": {}}],
    }


def night(admin: HasTestbed) -> None:
    """The demo's night on real nodes, until everything of it is there."""
    for obj in (*demo.namespaces(), demo.RUNTIME_CLASS):
        _create(admin, obj)
    for name in (demo.ML, demo.CHECKS):
        _until(lambda name=name: "default" in admin.testbed.kubectl("get", "sa", "-n", name))  # type: ignore[misc]
    _create(admin, _busy(demo.sample(NODE)))
    ended = "{.status.containerStatuses[*].state.terminated.exitCode}"
    _until(lambda: _of(admin, demo.ML, "cuda-vectoradd", ended) == "0")
    kill = ["exec", "-n", demo.ML, "cuda-vectoradd", "-c", "istio-proxy", "--", "kill", "1"]
    admin.testbed.run(["kubectl", *kill], capture_output=True)  # may itself be killed with the container
    _until(lambda: "1" in _of(admin, demo.ML, "cuda-vectoradd", "{.status.containerStatuses[*].restartCount}"))
    for check in demo.checks(NODE):
        _create(admin, _busy(check))
    _until(lambda: "FailedCreatePodSandBox" in admin.testbed.kubectl("get", "events", "-n", demo.CHECKS))
    _until(lambda: _of(admin, demo.CHECKS, "device-plugin-validator", "{.status.reason}") == "UnexpectedAdmissionError")


def _busy(pod: dict[str, Any]) -> dict[str, Any]:
    """Its containers from an image that the testbed has; the sidecar runs on."""
    for container in pod["spec"]["containers"]:
        container.update(image=BUSYBOX, command=SIDECAR if container["name"] == "istio-proxy" else ["true"])
    pod["spec"]["terminationGracePeriodSeconds"] = 0
    return pod


def _create(admin: HasTestbed, obj: dict[str, Any]) -> None:
    done = admin.testbed.run(["kubectl", "create", "-f", "-"], input=json.dumps(obj), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def _of(admin: HasTestbed, namespace: str, pod: str, path: str) -> str:
    return admin.testbed.kubectl("get", "pod", "-n", namespace, pod, "-o", f"jsonpath={path}")


def _until(true: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.5)


def test_the_demo_answers_as_the_real_api_server(real: dict[str, Form], testbed: Testbed, tmp_path: Path) -> None:
    """Every request of the demo is made on the testbed too, and has there every key that the demo's answer has.

    GPUREADY_RECORD=1 keeps what the real one answered in tests/contracts/demo_recorded.json.
    """
    (tmp_path / "demo").mkdir()
    ours = simulated(tmp_path / "demo")
    if os.environ.get("GPUREADY_RECORD"):
        version = json.loads(testbed.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"]
        record(version, real, ours)
    kept = recorded().exchanges
    assert [key for key in ours if key not in real or key not in kept] == []
    for answered in (real, kept):
        assert strangers(ours, answered) == {}
