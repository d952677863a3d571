"""doctor --fix on real nodes: mended under exactly the rights that are printed for it, and taken back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gpuready.knowledge.crd_fields import needed
from testbed import Testbed
from testbed.cluster import BUSYBOX
from tests.cluster.agent import agent_pod, agent_processes
from tests.cluster.product import Gpuready, json_of

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
GPU = {"limits": {"nvidia.com/gpu": "1"}}
SLEEP = {"image": BUSYBOX, "command": ["sleep", "600"]}


def clean(product: Gpuready) -> None:
    """Nothing of gpuready is left in the cluster."""
    if product.run("uninstall", "--yes").returncode != 0:
        product.run("apply", "--undo", "--yes")
        product.run("uninstall", "--yes")
    product.testbed.kubectl("delete", "ns", "gpuready-system", "--ignore-not-found")
    managed = "app.kubernetes.io/managed-by=gpuready"
    product.testbed.kubectl("delete", "clusterrole,clusterrolebinding", "-l", managed)


@pytest.fixture
def bare(testbed: Testbed, image: str, tmp_path: Path) -> Iterator[Gpuready]:
    """gpuready as cluster-admin where nothing of it is."""
    product = Gpuready(testbed, tmp_path, image, testbed.kubeconfig)
    yield product
    clean(product)


@pytest.fixture(scope="module")
def installed(testbed: Testbed, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpuready]:
    """One `up` for all tests of this module that need one."""
    product = Gpuready(testbed, tmp_path_factory.mktemp("fix"), image, testbed.kubeconfig)
    product.ok("up", "--yes")
    yield product
    clean(product)


@pytest.fixture
def mender(installed: Gpuready) -> Gpuready:
    """A user who has exactly what `gpuready rbac "doctor --fix"` prints."""
    return installed.grant("mender", "doctor --fix")


@pytest.fixture
def create(testbed: Testbed) -> Iterator[Callable[[Json], None]]:
    """Creates objects in namespace broken, which goes with everything in it."""
    testbed.kubectl("create", "namespace", "broken")

    def make(obj: Json) -> None:
        done = testbed.run(["kubectl", "create", "-f", "-"], input=json.dumps(obj), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    until(lambda: "default" in testbed.kubectl("get", "serviceaccounts", "-n", "broken", "-o", "name"))
    yield make
    testbed.kubectl("delete", "namespace", "broken")


def until(holds: Callable[[], bool], seconds: float = 90, what: Callable[[], str] = str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what()
        time.sleep(0.5)


def pod(name: str, *containers: Json, **spec: Any) -> Json:
    whole = {"containers": list(containers), "terminationGracePeriodSeconds": 0, "restartPolicy": "Never", **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "broken"}, "spec": whole}


def phase(testbed: Testbed, name: str) -> str:
    return testbed.kubectl("get", "pod", "-n", "broken", name, "-o", "jsonpath={.status.phase}")


def causes(product: Gpuready) -> list[str]:
    found: Any = json_of(product.run("doctor", "-o", "json").stdout)
    return [c["found"]["rule"] for c in found["causes"]]


def until_found(product: Gpuready, rule: str) -> None:
    until(lambda: rule in causes(product), 240, lambda: str(causes(product)))


def keep_every_gpu(testbed: Testbed, create: Callable[[Json], None]) -> None:
    """Done pods whose sidecars run on hold all GPUs of the node, and pod/broken/next waits."""
    gpus = int(testbed.kubectl("get", "node", "node1", "-o", r"jsonpath={.status.allocatable.nvidia\.com/gpu}"))
    all_of_them = {"limits": {"nvidia.com/gpu": str(gpus)}}
    done = {"name": "main", "image": BUSYBOX, "command": ["true"], "resources": all_of_them}
    here = {"nodeSelector": {"kubernetes.io/hostname": "node1"}}
    create(pod("vectoradd", done, {"name": "proxy", **SLEEP}, **here))
    state = "jsonpath={.status.containerStatuses[*].state.terminated.exitCode}"
    until(lambda: testbed.kubectl("get", "pod", "-n", "broken", "vectoradd", "-o", state) == "0")
    create(pod("next", {"name": "main", **SLEEP, "resources": GPU}, **here))


NVDP = "nvidia-device-plugin-daemonset"
FOLDER = "/var/lib/kubelet/device-plugins"


def plugin(*, privileged: bool = False, **spec: Any) -> Json:
    """A DaemonSet taken for somebody else's device plugin, by its name and what it mounts; it serves nothing."""
    container = {
        "name": "nvidia-device-plugin-ctr",
        **SLEEP,
        "volumeMounts": [{"name": "plugins", "mountPath": FOLDER}],
        "securityContext": {"privileged": privileged},
    }
    whole = {
        "containers": [container],
        "terminationGracePeriodSeconds": 0,
        "volumes": [{"name": "plugins", "hostPath": {"path": FOLDER}}],
        **spec,
    }
    labels = {"app": "nvdp"}
    template = {"metadata": {"labels": labels}, "spec": whole}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NVDP, "namespace": "broken"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def template(testbed: Testbed, field: str) -> str:
    path = f"jsonpath={{.spec.template.spec.{field}}}"
    return testbed.kubectl("get", "ds", "-n", "broken", NVDP, "-o", path)


@pytest.fixture
def tainted(testbed: Testbed) -> Iterator[None]:
    testbed.kubectl("taint", "nodes", "--all", "team=ml:NoSchedule")
    yield
    testbed.kubectl("taint", "nodes", "--all", "team-")


TOLERATES = '[{"effect":"NoSchedule","key":"team","operator":"Equal","value":"ml"}]'


def namespaces(testbed: Testbed) -> list[str]:
    return testbed.kubectl("get", "ns", "-o", "name").split()


# -- where nothing of gpuready is installed


def test_a_foreign_plugin_learns_to_tolerate_a_taint(
    bare: Gpuready, create: Callable[[Json], None], tainted: None
) -> None:
    testbed = bare.testbed
    create(plugin())
    until_found(bare, "gpu-node-taint-not-tolerated")
    done = bare.run("doctor", "--fix", "--yes")
    assert f"MENDED  gpu-node-taint-not-tolerated  ds/broken/{NVDP}" in done.stdout, done.stdout + done.stderr
    assert template(testbed, "tolerations") == TOLERATES
    bare.ok("apply", "--undo", "--yes")
    assert template(testbed, "tolerations") == ""
    assert "namespace/gpuready-system" not in namespaces(testbed)


def test_an_uninstall_after_a_mend_removes_the_journal_and_leaves_the_mend(
    bare: Gpuready, create: Callable[[Json], None], tainted: None
) -> None:
    create(plugin())
    until_found(bare, "gpu-node-taint-not-tolerated")
    done = bare.run("doctor", "--fix", "--yes")
    assert "gpuready uninstall removes it and leaves the mend" in done.stdout, done.stdout + done.stderr
    bare.ok("uninstall", "--yes")
    assert template(bare.testbed, "tolerations") == TOLERATES
    assert "namespace/gpuready-system" not in namespaces(bare.testbed)


@pytest.mark.parametrize("resumed", [True, False], ids=["resumed first", "at once"])
def test_a_killed_mend_is_taken_back(
    resumed: bool, bare: Gpuready, create: Callable[[Json], None], tainted: None
) -> None:
    """After the field was set and before that was written down."""
    testbed = bare.testbed
    create(plugin())
    until_found(bare, "gpu-node-taint-not-tolerated")
    log = bare.folder / "points"
    killer = [sys.executable, str(Path(__file__).with_name("killer.py"))]
    points = ["note on disk", "lock", "journal secret", "intent", "act"]  # where nothing of ours was before
    command = [*killer, str(len(points)), str(log), "--", "doctor", "--fix", "--yes"]
    killed = subprocess.run(command, cwd=bare.folder, env=bare.environment(), capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stdout + killed.stderr
    assert [line.split(" mend ")[0] for line in log.read_text().splitlines()] == points
    assert template(testbed, "tolerations") == TOLERATES
    refused = bare.run("doctor", "--fix", "--yes")
    assert "is not finished" in refused.stderr, refused.stdout + refused.stderr
    if resumed:
        assert "next:  gpuready doctor" in bare.ok("apply", "--resume", "--yes")
        assert template(testbed, "tolerations") == TOLERATES
    bare.ok("apply", "--undo", "--yes")
    assert template(testbed, "tolerations") == ""


def test_pod_security_lets_the_plugin_in(bare: Gpuready, create: Callable[[Json], None]) -> None:
    """Under the rights that are printed; the namespace that they come with is not ours and stays."""
    testbed, mender = bare.testbed, bare.grant("mender", "doctor --fix")
    enforce = "pod-security.kubernetes.io/enforce"
    testbed.kubectl("label", "ns", "broken", f"{enforce}=baseline")
    create(plugin(privileged=True))
    until_found(mender, "pod-security-blocks-privileged")
    done = mender.run("doctor", "--fix", "--yes")
    assert "MENDED  pod-security-blocks-privileged  ns/broken" in done.stdout, done.stdout + done.stderr
    level = r"jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}"
    assert testbed.kubectl("get", "ns", "broken", "-o", level) == "privileged"
    nodes = len(testbed.kubectl("get", "nodes", "-o", "name").split())
    assert f"{nodes} of {nodes} pods ready" in done.stdout
    mender.ok("apply", "--undo", "--yes")
    assert testbed.kubectl("get", "ns", "broken", "-o", level) == "baseline"


def policies(fields: Iterable[str]) -> Json:
    """The CRD of ClusterPolicies whose spec has these fields."""
    spec = {"type": "object", "properties": {field: {"type": "object"} for field in fields}}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    names = {"kind": "ClusterPolicy", "listKind": "ClusterPolicyList", "plural": "clusterpolicies"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "clusterpolicies.nvidia.com"},
        "spec": {
            "group": "nvidia.com",
            "scope": "Cluster",
            "names": {**names, "singular": "clusterpolicy"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


def schema_of(testbed: Testbed) -> list[str]:
    found = json.loads(testbed.kubectl("get", "crd", "clusterpolicies.nvidia.com", "-o", "json"))
    (version,) = found["spec"]["versions"]
    return sorted(version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"])


RELEASE = (25, 3, 4)
FIELDS = sorted(needed("clusterpolicies.nvidia.com", RELEASE))


@pytest.fixture
def stale(testbed: Testbed) -> Iterator[None]:
    """A CRD that helm left from an older release, and an object of it."""
    policy = {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "cluster-policy", "labels": {"helm.sh/chart": "gpu-operator-v25.3.4"}},
        "spec": {"driver": {}},
    }

    def create(obj: Json) -> bool:
        done = testbed.run(["kubectl", "create", "-f", "-"], input=json.dumps(obj), capture_output=True, text=True)
        return bool(done.returncode == 0)

    assert create(policies(field for field in FIELDS if field != "hostPaths"))
    until(lambda: create(policy))
    yield
    testbed.kubectl("delete", "crd", "clusterpolicies.nvidia.com")


def test_a_stale_crd_becomes_that_of_the_chart_and_its_objects_stay(bare: Gpuready, stale: None) -> None:
    testbed, mender = bare.testbed, bare.grant("mender", "doctor --fix")
    uid = testbed.kubectl("get", "clusterpolicy", "cluster-policy", "-o", "jsonpath={.metadata.uid}")
    until_found(mender, "stale-crd-unknown-field")
    by_hand = mender.run("doctor", "--fix", "stale-crd-unknown-field", "--yes")
    assert "helm pull gpu-operator" in by_hand.stdout, by_hand.stdout + by_hand.stderr
    chart = bare.folder / "gpu-operator"
    (chart / "crds").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: gpu-operator\nversion: v25.3.4\n")
    (chart / "crds" / "nvidia.com_clusterpolicies.yaml").write_text(json.dumps(policies(FIELDS)))
    done = mender.run("doctor", "--fix", "stale-crd-unknown-field", "--yes", "--chart", str(chart))
    assert "MENDED  stale-crd-unknown-field" in done.stdout, done.stdout + done.stderr
    assert "v1: .spec.hostPaths: object" in done.stdout
    assert schema_of(testbed) == FIELDS
    mender.ok("apply", "--undo", "--yes")
    assert schema_of(testbed) == [field for field in FIELDS if field != "hostPaths"]
    assert testbed.kubectl("get", "clusterpolicy", "cluster-policy", "-o", "jsonpath={.metadata.uid}") == uid


# -- beside our agent


def test_a_gpu_that_a_sidecar_keeps_is_freed(mender: Gpuready, create: Callable[[Json], None]) -> None:
    testbed = mender.testbed
    keep_every_gpu(testbed, create)
    until_found(mender, "gpu-held-by-running-sidecar")
    refused = mender.run("doctor", "--fix", "--yes")
    assert refused.returncode == 1
    assert "add --allow=delete-pod if that is wanted" in refused.stderr
    assert phase(testbed, "vectoradd") == "Running"
    done = mender.run("doctor", "--fix", "--yes", "--allow", "delete-pod")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MENDED  gpu-held-by-running-sidecar  pod/broken/vectoradd" in done.stdout
    assert "pod/broken/next has started" in done.stdout
    assert phase(testbed, "next") == "Running"
    assert "nothing is wrong" in mender.ok("doctor")


def test_an_agent_that_does_not_answer_is_made_anew(mender: Gpuready) -> None:
    testbed = mender.testbed
    agent = agent_pod(testbed)["metadata"]["name"]
    for pid in agent_processes(testbed):
        os.kill(pid, signal.SIGSTOP)
    until_found(mender, "agent-wedged")
    done = mender.run("doctor", "--fix", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "MENDED  agent-wedged  node/node1" in done.stdout
    assert agent_pod(testbed)["metadata"]["name"] != agent
    mender.ok("doctor")


def test_a_second_plugin_is_sent_to_no_node(mender: Gpuready, create: Callable[[Json], None]) -> None:
    testbed = mender.testbed
    create(plugin())
    until_found(mender, "second-device-plugin")
    done = mender.run("doctor", "--fix", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"MENDED  second-device-plugin  ds/broken/{NVDP}" in done.stdout
    assert template(testbed, "nodeSelector") == '{"gpuready.dev/switched-off":"second-device-plugin"}'
    mender.ok("apply", "--undo", "--yes")
    assert template(testbed, "nodeSelector") == ""
    assert testbed.kubectl("get", "ds", "-n", "gpuready-system", "-o", "name")


def test_a_label_that_contradicts_the_node_is_removed(mender: Gpuready) -> None:
    """It only fits: the rule must be named. What our agent has on the other node stays."""
    testbed = mender.testbed
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "web-1", "labels": {"nvidia.com/gpu.product": "P630"}},
    }
    command = ["kubectl", "apply", "--server-side", "-f", "-"]
    made = testbed.run(command, input=json.dumps(node), capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    try:
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}]}}
        patch = ("patch", "node", "web-1", "--subresource=status", "--type=merge", "-p", json.dumps(ready))
        testbed.kubectl(*patch)
        until_found(mender, "contradicting-gpu-label")
        asked = mender.run("doctor", "--fix", "--yes")
        assert "gpuready doctor --fix contradicting-gpu-label" in asked.stdout, asked.stdout + asked.stderr
        done = mender.run("doctor", "--fix", "contradicting-gpu-label", "--yes")
        assert "MENDED  contradicting-gpu-label  node/web-1" in done.stdout, done.stdout + done.stderr
        label = r"jsonpath={.metadata.labels.nvidia\.com/gpu\.product}"
        assert testbed.kubectl("get", "node", "web-1", "-o", label) == ""
        mender.ok("apply", "--undo", "--yes")
        assert testbed.kubectl("get", "node", "web-1", "-o", label) == "P630"
    finally:
        testbed.kubectl("delete", "node", "web-1")


def test_our_own_agent_learns_to_tolerate_a_taint_by_its_spec(mender: Gpuready) -> None:
    testbed = mender.testbed
    testbed.kubectl("taint", "nodes", "--all", "team=ml:NoExecute")
    try:
        until_found(mender, "gpu-node-taint-not-tolerated")
        done = mender.run("doctor", "--fix", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "write it into gpuready.yaml too" in " ".join(done.stdout.split())
        assert agent_pod(testbed)["spec"]["nodeName"] == "node1"
        mender.ok("doctor")
    finally:
        testbed.kubectl("taint", "nodes", "--all", "team-")
    mender.ok("apply", "--undo", "--yes")
    assert [t for t in agent_pod(testbed)["spec"]["tolerations"] if t["key"] == "team"] == []


def test_only_a_live_cluster_can_be_mended(mender: Gpuready) -> None:
    for args in (["doctor", "-", "--fix"], ["doctor", "--from", "x.tar.gz", "--fix"], ["doctor", "--fix", "-"]):
        refused = mender.run(*args)
        assert refused.returncode == 1
        assert "cannot be changed" in refused.stderr
    assert "are for --fix" in mender.run("doctor", "--yes").stderr
