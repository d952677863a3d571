"""The doctor names exactly what was broken in the API's objects, live and from the bundle that was collected then.

With GPUREADY_KEEP_BUNDLES=FOLDER the bundles are kept there, as tests/bundles has them.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed import Testbed
from testbed.cluster import BUSYBOX
from tests.cluster.product import Gpuready, json_of

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
SPEC = """\
apiVersion: gpuready.dev/v1alpha1
kind: GPUSetup
metadata: {{name: gpus}}
spec:
  nodes: {{names: [node1]}}
  image: {{reference: "{image}"}}
"""
NS = "broken"
KERNEL = b"6.1.0-28-amd64"


class Bed:
    """What the scenarios do to the cluster; `undo` holds the kubectl commands that take it back, last first."""

    def __init__(self, testbed: Testbed) -> None:
        self.testbed = testbed
        self.undo: list[tuple[str, ...]] = []

    def do(self, *args: str, undo: tuple[str, ...] = ()) -> None:
        self.testbed.kubectl(*args)
        if undo:
            self.undo.insert(0, undo)

    def create(self, kind: str, name: str, spec: Json, version: str = "v1", **more: Any) -> None:
        """In namespace broken, which goes in the end; what has no namespace is taken back by name."""
        meta = {"name": name, "namespace": NS, **more.pop("meta", {})}
        obj = {"apiVersion": version, "kind": kind, "metadata": meta, **({"spec": spec} if spec else {}), **more}
        done = self.testbed.run(["kubectl", "create", "-f", "-"], input=json.dumps(obj), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    def pod(self, name: str = "wants", gpus: int = 1, resource: str = "nvidia.com/gpu", **spec: Any) -> None:
        meta = spec.pop("meta", {})
        self.create("Pod", name, template(gpus, resource, **spec), meta=meta)


def template(gpus: int = 1, resource: str = "nvidia.com/gpu", **spec: Any) -> Json:
    limits = {"limits": {resource: str(gpus)}} if gpus else {}
    container = {"name": "main", "image": BUSYBOX, "command": ["sleep", "600"], "resources": limits}
    return {"terminationGracePeriodSeconds": 0, "containers": [container], **spec}


def replicas(bed: Bed, name: str, pod: Json) -> None:
    labels = {"app": name}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    bed.create("ReplicaSet", name, {"replicas": 1, **spec}, "apps/v1")


def untolerated_taint(bed: Bed) -> None:
    bed.do("taint", "node", "node1", "dedicated=ml:NoSchedule", undo=("taint", "node", "node1", "dedicated-"))
    bed.pod()


def cordoned(bed: Bed) -> None:
    bed.do("cordon", "node1", undo=("uncordon", "node1"))
    bed.pod()


def too_many(bed: Bed) -> None:
    bed.pod(gpus=64)


def unknown_resource(bed: Bed) -> None:
    bed.pod(resource="nvidia.com/mig-1g.10gb")


def missing_label(bed: Bed) -> None:
    bed.pod(nodeSelector={"pool": "gpu-b"})


def all_in_use(bed: Bed) -> None:
    bed.pod("uses", nodeName="node1")
    until_running(bed, "uses")
    bed.pod()


def kept_by_a_finalizer(bed: Bed) -> None:
    bed.pod("uses", nodeName="node1", meta={"finalizers": ["example.com/backup"]})
    until_running(bed, "uses")
    bed.undo.insert(0, ("delete", "pod", "-n", NS, "uses", "--grace-period=0", "--force"))
    gone = ("patch", "pod", "-n", NS, "uses", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    bed.do("delete", "pod", "-n", NS, "uses", "--wait=false", "--grace-period=600", undo=gone)
    bed.pod()


def quota(bed: Bed) -> None:
    bed.create("ResourceQuota", "team", {"hard": {"requests.nvidia.com/gpu": "0"}})
    replicas(bed, "train", template())


def limit_range_gives(bed: Bed) -> None:
    """One GPU for the pod, and by default one for its sidecar too."""
    gpu = {"nvidia.com/gpu": "1"}
    bed.create("LimitRange", "gpus", {"limits": [{"type": "Container", "default": gpu, "defaultRequest": gpu}]})
    sidecar = {"name": "proxy", "image": BUSYBOX, "command": ["sleep", "600"]}
    pod = template(64)
    bed.create("Pod", "wants", {**pod, "containers": [*pod["containers"], sidecar]})


def limit_range_refuses(bed: Bed) -> None:
    bed.create("LimitRange", "gpus", {"limits": [{"type": "Container", "max": {"nvidia.com/gpu": "1"}}]})
    replicas(bed, "train", template(2))


def preempted(bed: Bed) -> None:
    replicas(bed, "train", template())
    until(lambda: "Running" in bed.testbed.kubectl("get", "pods", "-n", NS))
    bed.undo.insert(0, ("delete", "priorityclass", "urgent"))
    bed.create("PriorityClass", "urgent", {}, "scheduling.k8s.io/v1", value=1000, meta={"namespace": ""})
    bed.pod("urgent", priorityClassName="urgent")


def runtime_class(bed: Bed) -> None:
    replicas(bed, "cuda", template(0, runtimeClassName="nvidia"))


def pod_security(bed: Bed) -> None:
    level = "pod-security.kubernetes.io/enforce"
    back = ("label", "ns", "gpuready-system", "--overwrite", f"{level}=privileged")
    bed.do("label", "ns", "gpuready-system", "--overwrite", f"{level}=baseline", undo=back)
    bed.do("delete", "pods", "-n", "gpuready-system", "-l", "app.kubernetes.io/name=gpuready-agent")


def second_plugin(bed: Bed) -> None:
    folder = {"name": "plugins", "hostPath": {"path": "/var/lib/kubelet/device-plugins"}}
    pod = template(0, volumes=[folder], nodeSelector={"kubernetes.io/hostname": "node1"})
    pod["containers"][0] |= {"name": "nvidia-device-plugin-ctr"}
    labels = {"app": "nvidia-device-plugin"}
    spec = {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}
    bed.create("DaemonSet", "nvidia-device-plugin", spec, "apps/v1")


def contradicting_label(bed: Bed) -> None:
    key = "nvidia.com/gpu.present"
    bed.do("label", "node", "node2", f"{key}=true", undo=("label", "node", "node2", f"{key}-"))


def stale_crd(bed: Bed) -> None:
    """The fields that the CRD of release 1.4 has, below an object that the chart of 1.8 made."""
    name, plural = "clusterpolicies.nvidia.com", "clusterpolicies"
    known = ("dcgmExporter", "devicePlugin", "driver", "gfd", "operator", "toolkit")
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    spec = {"type": "object", "properties": dict.fromkeys(known, anything)}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    names = {"kind": "ClusterPolicy", "plural": plural, "singular": "clusterpolicy"}
    crd = {"group": "nvidia.com", "scope": "Cluster", "names": names, "versions": [version]}
    bed.undo.insert(0, ("delete", "crd", name))
    meta = {"name": name, "namespace": ""}
    bed.create("CustomResourceDefinition", name, crd, "apiextensions.k8s.io/v1", meta=meta)
    bed.do("wait", "--for=condition=Established", f"crd/{name}", "--timeout=60s")
    made_by = {"namespace": "", "labels": {"helm.sh/chart": "gpu-operator-v1.8.0"}}
    bed.create("ClusterPolicy", "cluster-policy", {"driver": {"enabled": True}}, "nvidia.com/v1", meta=made_by)


def stuck_namespace(bed: Bed) -> None:
    bed.do("create", "namespace", "gpu-operator")
    meta = {"namespace": "gpu-operator", "finalizers": ["nvidia.com/finalizer"]}
    bed.create("ConfigMap", "keeps", {}, meta=meta)
    gone = ("patch", "cm", "-n", "gpu-operator", "keeps", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    bed.do("delete", "namespace", "gpu-operator", "--wait=false", undo=gone)


BROKEN: dict[Callable[[Bed], None], str] = {
    untolerated_taint: "gpu-node-taint-not-tolerated",
    cordoned: "gpu-nodes-cordoned",
    too_many: "pod-gpu-request-exceeds-node",
    unknown_resource: "wrong-resource-name",
    missing_label: "node-label-missing",
    all_in_use: "gpu-held-by-another-pod",
    kept_by_a_finalizer: "gpu-held-by-terminating-pod",
    quota: "gpu-quota-exceeded",
    limit_range_gives: "limit-range-adds-gpus",
    limit_range_refuses: "limit-range-refuses-pods",
    preempted: "gpu-pod-preempted",
    runtime_class: "runtime-class-missing",
    second_plugin: "second-device-plugin",
    contradicting_label: "contradicting-gpu-label",
    stale_crd: "stale-crd-unknown-field",
    stuck_namespace: "gpu-stack-stuck-terminating",
    pod_security: "pod-security-blocks-privileged",
}


@pytest.fixture
def bed(testbed: Testbed) -> Iterator[Bed]:
    """A namespace to break things in; afterwards all is as it was, and the doctor's view of it has settled."""
    made = Bed(testbed)
    testbed.kubectl("create", "namespace", NS)
    until(lambda: "default" in testbed.kubectl("get", "serviceaccounts", "-n", NS, "-o", "name"))
    yield made
    for command in made.undo:
        testbed.kubectl(*command)
    testbed.kubectl("delete", "namespace", NS)
    testbed.kubectl("delete", "events", "--all", "-A")


@pytest.fixture(scope="module")
def installed(testbed: Testbed, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gpuready]:
    """One `up`, of node1 alone, for all tests of this module that need one."""
    product = Gpuready(testbed, tmp_path_factory.mktemp("objects"), image, testbed.kubeconfig)
    (product.folder / "gpuready.yaml").write_text(SPEC.format(image=image))
    product.ok("up", "--yes")
    yield product
    if product.run("uninstall", "--yes").returncode != 0:
        product.run("apply", "--undo", "--yes")
        product.run("uninstall", "--yes")
    testbed.kubectl("delete", "ns", "gpuready-system", "--ignore-not-found")
    testbed.kubectl("delete", "clusterrole,clusterrolebinding", "-l", "app.kubernetes.io/managed-by=gpuready")


def until(holds: Callable[[], bool], seconds: float = 90, what: Callable[[], str] = str) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, what()
        time.sleep(0.5)


def until_running(bed: Bed, name: str) -> None:
    until(lambda: bed.testbed.kubectl("get", "pod", "-n", NS, name, "-o", "jsonpath={.status.phase}") == "Running")


def causes(doctor: Gpuready, *args: str) -> list[str]:
    """The rules of the causes, the first first."""
    diagnosis: Any = json_of(doctor.run("doctor", "-o", "json", *args).stdout)
    return [cause["found"]["rule"] for cause in diagnosis["causes"]]


def settled(doctor: Gpuready, wanted: Callable[[list[str]], bool]) -> list[str]:
    """The causes, once they are as wanted, or after a minute and a half as they are."""
    found: list[str] = []

    def holds() -> bool:
        found[:] = causes(doctor)
        return wanted(found)

    until(holds, what=lambda: f"{found}\n{doctor.run('doctor').stdout}")
    return found


def collected(doctor: Gpuready, name: str, provoked: str = "") -> Path:
    path = doctor.folder / f"{name}.tar.gz"
    path.unlink(missing_ok=True)
    doctor.ok("collect", "-f", str(path), "--provoked", provoked)
    if keep := os.environ.get("GPUREADY_KEEP_BUNDLES"):
        kept(path, Path(keep) / path.name)
    return path


def kept(path: Path, to: Path) -> None:
    """A copy that does not tell on which kernel the testbed ran."""
    with tarfile.open(path) as before, tarfile.open(to, "w:gz") as after:
        for member in before:
            body = before.extractfile(member)
            assert body is not None
            data = body.read().replace(os.uname().release.encode(), KERNEL)
            member.size = len(data)
            after.addfile(member, io.BytesIO(data))


def test_a_cluster_without_a_gpu_stack(admin: Gpuready, bed: Bed) -> None:
    """Before anything is installed there is nothing to judge; once a pod asks, that is what is wrong."""
    doctor = admin.grant("doctor", "doctor", "collect")
    done = doctor.run("doctor")
    assert (done.returncode, done.stdout.splitlines()[-1][:16]) == (0, "nothing to judge"), done.stdout
    assert causes(doctor, "--from", str(collected(doctor, "healthy-without-gpus"))) == []
    bed.pod()
    found = settled(doctor, lambda found: found[:1] == ["no-gpu-stack-installed"])
    bundle = collected(doctor, "no-gpu-stack-installed", "a pod asks for a GPU before anything is installed")
    assert causes(doctor, "--from", str(bundle)) == found == ["no-gpu-stack-installed"]


def test_nothing_is_said_of_a_cluster_in_which_all_is_well(installed: Gpuready) -> None:
    doctor = installed.grant("doctor", "doctor", "collect")
    done = doctor.run("doctor")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert "nothing is wrong" in done.stdout
    assert causes(doctor, "--from", str(collected(doctor, "healthy-native"))) == []


@pytest.mark.parametrize(("break_it", "rule"), BROKEN.items(), ids=lambda one: getattr(one, "__name__", one))
def test_what_was_broken_is_named_alone(
    installed: Gpuready, bed: Bed, break_it: Callable[[Bed], None], rule: str
) -> None:
    doctor = installed.grant("doctor", "doctor", "collect")
    settled(doctor, lambda found: found == [])
    break_it(bed)
    found = settled(doctor, lambda found: found == [rule])
    bundle = collected(doctor, rule, f"{break_it.__name__.replace('_', ' ')}, on a testbed")
    assert causes(doctor, "--from", str(bundle)) == found


def test_a_driver_of_another_version_than_its_libraries(installed: Gpuready, bed: Bed) -> None:
    """The replayed NVML answers as after an upgrade without a reboot: NVML_ERROR_LIB_RM_VERSION_MISMATCH."""
    rule, agent = (
        "driver-library-mismatch-said",
        ("-n", "gpuready-system", "-l", "app.kubernetes.io/name=gpuready-agent"),
    )
    doctor = installed.grant("doctor", "doctor", "collect")
    settled(doctor, lambda found: found == [])
    gpus = bed.testbed.node("node1").replayed()
    gpus.refuse_init(18)
    try:
        bed.do("delete", "pods", *agent)  # the one that ran has its library open already
        found = settled(doctor, lambda found: found == [rule])
        why = "the replayed NVML of node1 refuses to start: library and kernel driver do not match (18), on a testbed"
        assert causes(doctor, "--from", str(collected(doctor, rule, why))) == found
    finally:
        gpus.restore()
        bed.do("delete", "pods", *agent)
        settled(doctor, lambda found: found == [])
