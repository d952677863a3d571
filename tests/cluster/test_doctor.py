"""The doctor on real nodes: silent when all is well, and right about what was broken."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from testbed.cluster import BUSYBOX
from tests.cluster.product import Gpuready, json_of

pytestmark = pytest.mark.cluster

Json = dict[str, Any]


@pytest.fixture
def doctor(admin: Gpuready) -> Gpuready:
    """A user who has exactly what `gpuready rbac doctor` prints."""
    return admin.grant("doctor", "doctor")


@pytest.fixture
def broken(admin: Gpuready) -> Iterator[Callable[[Json], None]]:
    """Creates objects in namespace broken, which goes with everything in it."""
    kubectl = admin.testbed.kubectl
    kubectl("create", "namespace", "broken")
    made: list[str] = []

    def create(obj: Json) -> None:
        done = admin.testbed.run(
            ["kubectl", "create", "-f", "-"], input=json.dumps(obj), capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        if obj["kind"] == "RuntimeClass":
            made.append(f"runtimeclass/{obj['metadata']['name']}")

    for _ in range(100):
        if "default" in kubectl("get", "serviceaccounts", "-n", "broken", "-o", "name"):
            break
        time.sleep(0.1)
    yield create
    kubectl("delete", "namespace", "broken")
    for name in made:
        kubectl("delete", name)


def pod(name: str, **spec: Any) -> Json:
    containers = [{"name": "main", "image": BUSYBOX, "command": ["sleep", "600"]}]
    meta = {"name": name, "namespace": "broken"}
    whole = {"containers": containers, "terminationGracePeriodSeconds": 0, **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": whole}


def causes(
    doctor: Gpuready, until: Callable[[dict[str, list[str]]], bool], seconds: float = 60
) -> dict[str, list[str]]:
    """Cause -> what follows from it, once `until` holds of them."""
    end = time.monotonic() + seconds
    while True:
        done = doctor.run("doctor", "-o", "json")
        diagnosis: Any = json_of(done.stdout)
        found = {c["found"]["rule"]: sorted(s["rule"] for s in c["so"]) for c in diagnosis["causes"]}
        if until(found):
            return found
        assert time.monotonic() < end, f"{found}\n{done.stdout}\n{done.stderr}"
        time.sleep(2)


def test_nothing_is_said_of_a_cluster_without_gpus(doctor: Gpuready) -> None:
    done = doctor.run("doctor")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "nothing to judge" in done.stdout


def test_a_runtime_that_does_not_know_the_handler(doctor: Gpuready, broken: Callable[[Json], None]) -> None:
    broken(
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "nvidia"},
            "handler": "nvidia",
        }
    )
    broken(pod("cuda", runtimeClassName="nvidia"))
    assert list(causes(doctor, lambda found: "runtime-handler-missing" in found)) == ["runtime-handler-missing"]


def test_a_sidecar_that_keeps_the_gpu(admin: Gpuready, doctor: Gpuready, broken: Callable[[Json], None]) -> None:
    admin.ok("up", "--yes")
    gpu = {"limits": {"nvidia.com/gpu": "1"}}
    sample = [
        {"name": "main", "image": BUSYBOX, "command": ["true"], "resources": gpu},
        {"name": "proxy", "image": BUSYBOX, "command": ["sleep", "600"]},
    ]
    broken(pod("vectoradd", containers=sample, restartPolicy="Never", nodeName="node1"))
    end = time.monotonic() + 60
    state = "jsonpath={.status.containerStatuses[*].state.terminated.exitCode}"
    while admin.testbed.kubectl("get", "pod", "-n", "broken", "vectoradd", "-o", state) != "0":
        assert time.monotonic() < end
        time.sleep(0.5)
    one = [{"name": "main", "image": BUSYBOX, "command": ["sleep", "600"], "resources": gpu}]
    broken(pod("next", containers=one, nodeName="node1"))
    found = causes(doctor, lambda found: "gpu-held-by-running-sidecar" in found)
    assert list(found) == ["gpu-held-by-running-sidecar"]
    admin.testbed.kubectl("delete", "pod", "-n", "broken", "--all", "--wait=true")
