"""Stack `gpu-operator` on real kubelets: real helm and helm-python-sdk, real CRDs, a played operator.

The chart: tests/charts/gpu-operator-played.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from gpuready.components.gpu_operator.release import live
from testbed.binaries import Binaries, cache
from tests.cluster.killer import __file__ as killer
from tests.cluster.product import Gpuready, json_of
from tests.cluster.snapshot import differences, settled, snapshot
from tests.cluster.test_up import HOLDER, _without_known_remains

pytestmark = pytest.mark.cluster
CHART = Path(__file__).parents[1] / "charts" / "gpu-operator-played"
CRD = "clusterpolicies.nvidia.com"
MANAGERS = "jsonpath={.metadata.managedFields[*].manager}"
SETTLES = 20.0  # seconds


@pytest.fixture
def operator(admin: Gpuready) -> Gpuready:
    """gpuready with helm on PATH and a spec for the played chart; images come from the testbed's registry."""
    helm = Binaries(cache()).helm(print)
    admin.env["PATH"] = f"{helm.parent}:{os.environ['PATH']}"
    write(admin)
    return admin


def without_helm(product: Gpuready) -> None:
    """No helm on PATH from now on: the extra gpuready[helm] does the work."""
    folders = os.environ["PATH"].split(os.pathsep)
    product.env["PATH"] = os.pathsep.join(f for f in folders if not Path(f, "helm").exists())


def write(product: Gpuready, **more: object) -> None:
    registry, _, rest = product.image.partition("/")
    name, _, digest = rest.partition("@")
    image = {"repository": registry, "image": name, "version": digest}
    asked = {"chart": str(CHART), "values": {"operator": image, "devicePlugin": image}, **more}
    spec = {"stack": "gpu-operator", "image": {"reference": product.image}, "gpuOperator": asked}
    head = {"apiVersion": "gpuready.dev/v1alpha1", "kind": "GPUSetup", "metadata": {"name": "played"}}
    (product.folder / "gpuready.yaml").write_text(yaml.safe_dump({**head, "spec": spec}))


def test_installed_proved_and_out_again(operator: Gpuready, request: pytest.FixtureRequest) -> None:
    """A whole life: up, verify, a second run changes nothing, a held GPU is respected, nothing stays."""
    testbed = operator.testbed
    before = settled(testbed)
    up = operator.ok("up", "--yes")
    assert up.rstrip().endswith("2 of 2 probes removed; PASS (replayed) (exit 0)")
    assert "install release/gpu-operator ... done" in up
    verdicts = json_of(operator.ok("verify", "-o", "json"))["verdicts"]
    assert {(v["node"], v["scheduled"], v["computed"], v["verdict"]) for v in verdicts} == {
        (node, "pass", "pass", "PASS") for node in ("node1", "node2")
    }
    installed = settled(testbed)
    assert "nothing to do: 5 objects and 2 nodes are as the spec says" in operator.ok("up", "--yes")
    assert snapshot(testbed) == installed

    testbed.run(["kubectl", "apply", "-f", "-"], input=HOLDER, text=True, check=True, capture_output=True)
    request.addfinalizer(lambda: testbed.kubectl("delete", "pod", "trainer", "--force", "--ignore-not-found"))
    testbed.kubectl("wait", "--for=condition=Ready", "pod/trainer", "--timeout=60s")
    verified = operator.run("verify")
    assert (verified.returncode, "held by default/trainer" in verified.stdout) == (3, True)
    assert "1 held, 1 free, 0 failed" in operator.ok("status")
    refused = operator.run("uninstall", "--yes")
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (1, "error: pods hold GPUs: default/trainer")

    testbed.kubectl("delete", "pod", "trainer", "--grace-period=0", "--force")
    operator.ok("uninstall", "--yes")
    assert differences(_without_known_remains(before), _without_known_remains(snapshot(testbed))) == []


def test_a_changed_value_is_an_upgrade_and_can_be_taken_back(operator: Gpuready) -> None:
    """Only what differs is in the plan; --undo brings the release back. helm and the extra take turns at it."""
    testbed, with_helm = operator.testbed, operator.env["PATH"]
    before = snapshot(testbed)
    assert "; by helm on PATH" in operator.ok("up", "--yes")
    without_helm(operator)
    write(operator, mig="single")
    up = operator.ok("up", "--yes")
    assert "upgrade release/gpu-operator ... done" in up
    assert "; by helm-python-sdk 0." in up
    assert _config(operator)["mig"] == {"strategy": "single"}
    operator.env["PATH"] = with_helm
    operator.ok("apply", "--undo", "--yes")
    assert "mig" not in _config(operator)
    without_helm(operator)
    operator.ok("uninstall", "--yes")
    assert differences(_without_known_remains(before), _without_known_remains(snapshot(testbed))) == []


def test_a_stale_crd_is_updated_and_stays(operator: Gpuready) -> None:
    """An older CRD that others left is told field by field, updated in place with its objects, and not deleted."""
    testbed = operator.testbed
    crd = yaml.safe_load(next((CHART / "crds").glob("*clusterpolicies*")).read_text())
    fields = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    del fields["hostPaths"]
    apply = ["kubectl", "apply", "--server-side", "--field-manager=helm", "-f", "-"]
    testbed.run(apply, input=json.dumps(crd), text=True, check=True, capture_output=True)
    uid = _uid(operator)
    up = operator.ok("up", "--yes", "--diff")
    assert f"change crd/{CRD} ... done" in up
    assert "hostPaths.driverInstallDir" in up
    out = operator.ok("uninstall", "--yes")
    assert f"left: crd/{CRD}: was there before; stays as updated" in out
    assert _uid(operator) == uid
    testbed.kubectl("delete", "crd", CRD)


def test_without_helm_on_path(admin: Gpuready) -> None:
    """By the extra alone: in, nothing to change, out; and nothing of the CRDs is owned by it."""
    testbed = admin.testbed
    without_helm(admin)
    write(admin)
    before = snapshot(testbed)
    up = admin.ok("up", "--yes")
    assert "; by helm-python-sdk 0." in up
    assert "install release/gpu-operator ... done" in up
    assert "nothing to do: 5 objects and 2 nodes are as the spec says" in admin.ok("up", "--yes")
    managers = testbed.kubectl("get", "crd", CRD, "--show-managed-fields", "-o", MANAGERS)
    assert set(managers.split()) == {"gpuready", "kube-apiserver"}
    admin.ok("uninstall", "--yes")
    assert differences(_without_known_remains(before), _without_known_remains(snapshot(testbed))) == []


def test_killed_in_the_middle_and_resumed(operator: Gpuready, tmp_path: Path) -> None:
    """Killed after each point of the release's own step: resumed, the cluster is as after an undisturbed run."""
    testbed = operator.testbed
    testbed.snapshot("bare")
    points = _run(operator, 0, tmp_path / "points")
    expected = _comparable(settled(testbed))
    wrong = []
    for point in ("intent helm", "act helm", "receipt helm"):
        number = next(i for i, line in enumerate(points, 1) if line.startswith(point))
        testbed.restore("bare")
        wrong.append(_killed(operator, number, expected, tmp_path / f"points-{number}"))
    testbed.restore("bare")
    assert [w for w in wrong if w] == []


def test_helm_killed_in_the_middle(operator: Gpuready) -> None:
    """A release that a killed helm left pending is ended first, and then installed."""
    testbed = operator.testbed
    operator.ok("up", "--yes")
    secret = "sh.helm.release.v1.gpu-operator.v1"
    testbed.kubectl("label", "secret", "-n", "gpu-operator", secret, "status=pending-install", "--overwrite")
    write(operator, mig="single")
    assert operator.run("up", "--yes", "--timeout", "90s").returncode == 0
    assert _config(operator)["mig"] == {"strategy": "single"}


def test_what_is_missing_is_said_before_anything_changes(operator: Gpuready, tmp_path: Path) -> None:
    """An unknown value, a missing pull secret, a Kubernetes that the release is not for, no helm and a broken extra."""
    before = snapshot(operator.testbed)
    for more, said in (
        ({"values": {"driver": {"rmda": {"enabled": True}}}}, "has no value driver.rmda (spec: gpuOperator)"),
        ({"pullSecret": "ngc"}, "secret/ngc is not in namespace gpu-operator, and gpuOperator.pullSecret names it"),
        ({"version": "1.5.2"}, "gpuready does not go on"),
        ({"chart": "/nowhere/chart.tgz"}, "chart /nowhere/chart.tgz cannot be read: No such file or directory"),
    ):
        write(operator, **more)
        done = operator.run("up", "--yes")
        assert (done.returncode, said in done.stderr) == (1, True), (said, done.stdout, done.stderr)
    write(operator)
    (tmp_path / "broken" / "helm_python").mkdir(parents=True)
    (tmp_path / "broken" / "helm_python" / "__init__.py").write_text("raise ImportError('no library for this libc')")
    operator.env |= {"PATH": "/nowhere", "PYTHONPATH": str(tmp_path / "broken")}
    done = operator.run("up", "--yes")
    said = "helm-python-sdk cannot be loaded: no library for this libc"
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert differences(before, snapshot(operator.testbed)) == []


def test_init_writes_a_spec_for_the_stack(operator: Gpuready) -> None:
    """No chart and no helm are needed for it."""
    operator.ok("init", "--out", "looked.yaml", "--yes", "--stack", "gpu-operator")
    spec = yaml.safe_load((operator.folder / "looked.yaml").read_text())["spec"]
    assert (spec["stack"], spec["nodes"], "agent" in spec) == ("gpu-operator", {"names": ["node1", "node2"]}, False)


def test_the_two_stacks_exclude_each_other(operator: Gpuready) -> None:
    operator.ok("up", "--yes")
    (operator.folder / "gpuready.yaml").unlink()
    native = operator.run("up", "--yes")
    assert (native.returncode, "the NVIDIA GPU Operator owns the GPUs" in native.stdout) == (1, True)
    operator.ok("uninstall", "--yes")
    operator.ok("up", "--yes")
    write(operator)
    refused = operator.run("up", "--yes")
    assert (refused.returncode, "gpuready's own agent serves the GPUs" in refused.stdout) == (1, True)


def test_a_node_that_is_not_meant_gets_no_operand(operator: Gpuready) -> None:
    write(operator)
    spec = operator.folder / "gpuready.yaml"
    spec.write_text(spec.read_text().replace("spec:\n", "spec:\n  nodes: {names: [node1]}\n", 1))
    operator.ok("up", "--yes")
    label = "jsonpath={.metadata.labels.nvidia\\.com/gpu\\.deploy\\.operands}"
    assert [operator.testbed.kubectl("get", "node", n, "-o", label) for n in ("node1", "node2")] == ["", "false"]
    verdicts = json_of(operator.ok("verify", "-o", "json"))["verdicts"]
    assert {v["node"] for v in verdicts} == {"node1"}
    operator.ok("uninstall", "--yes")
    assert operator.testbed.kubectl("get", "node", "node2", "-o", label) == ""


def test_the_printed_rights_are_enough(operator: Gpuready) -> None:
    """Somebody with what `rbac up --stack gpu-operator` prints, and no more, installs and uninstalls."""
    rules = operator.ok("rbac", "up", "--stack", "gpu-operator", "--user", "installer")
    apply = ["kubectl", "apply", "--server-side", "-f", "-"]
    operator.testbed.run(apply, input=rules, text=True, check=True, capture_output=True)
    kubeconfig = operator.testbed.kubeconfig_for("installer")
    installer = Gpuready(operator.testbed, operator.folder, operator.image, kubeconfig, operator.env)
    installer.ok("up", "--yes")
    installer.ok("uninstall", "--yes")


def _config(product: Gpuready) -> Mapping[str, object]:
    """The values of the release as its Secrets tell them, whoever wrote those."""
    secrets = json_of(product.testbed.kubectl("get", "secret", "-n", "gpu-operator", "-l", "owner=helm", "-o", "json"))
    found = live(secrets["items"])
    assert found is not None
    assert found.values is not None
    return found.values


def _uid(product: Gpuready) -> str:
    return product.testbed.kubectl("get", "crd", CRD, "-o", "jsonpath={.metadata.uid}")


def _comparable(objects: dict) -> dict:
    """Without the moments that Helm and the API server note, and without the UIDs of owners."""
    out = json.loads(json.dumps(objects))
    for key, obj in out.items():
        for owner in obj["metadata"].get("ownerReferences") or ():
            owner.pop("uid")
        if "sh.helm.release" in key:
            obj["metadata"]["labels"].pop("modifiedAt")
            obj.pop("data")
        if key.startswith(("CustomResourceDefinition/", "Deployment/", "ReplicaSet/")):
            obj.pop("status", None)
    return out


def _run(product: Gpuready, fatal: int, log: Path) -> list[str]:
    """The points that `up` has passed; with `fatal` it was killed at that one."""
    argv = [sys.executable, killer, str(fatal), str(log), "--", "up", "--yes"]
    done = subprocess.run(argv, cwd=product.folder, env=product.environment(), capture_output=True, text=True)
    assert done.returncode == (-signal.SIGKILL if fatal else 0), done.stdout + done.stderr
    return log.read_text().splitlines()


def _killed(product: Gpuready, fatal: int, expected: dict, log: Path) -> str:
    """Empty when the run killed at this point, once resumed, ends like an undisturbed one; else what is wrong."""
    point = _run(product, fatal, log)[-1]
    resumed = product.run("apply", "--resume", "--yes", timeout=400)
    if resumed.returncode:
        return f"{point}: resume: {resumed.stderr.strip()}"
    left, end = differences(expected, _comparable(snapshot(product.testbed))), time.monotonic() + SETTLES
    while left and time.monotonic() < end:
        time.sleep(1)
        left = differences(expected, _comparable(snapshot(product.testbed)))
    return f"{point}: not as after an undisturbed run: {left}" if left else ""
