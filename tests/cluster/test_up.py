"""The main job on real kubelets: up, prove, hold, refuse, uninstall, and nothing left. GPUs are replayed and say so."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request

import pytest

from gpuready.adapters.interpreter import EXECUTABLE
from tests.cluster.product import Gpuready, json_of
from tests.cluster.snapshot import differences, settled, snapshot

pytestmark = pytest.mark.cluster

HOLDER = """
apiVersion: v1
kind: Pod
metadata: {name: trainer, namespace: default}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: 192.0.2.10:5000/testbed/busybox:1
    command: [sleep, "600"]
    resources: {limits: {nvidia.com/gpu: 1}}
"""


def test_from_bare_nodes_to_proven_gpus_and_back(admin: Gpuready, request: pytest.FixtureRequest) -> None:
    """A whole life: every GPU proved, a second run changes nothing, a held GPU is respected, nothing stays."""
    testbed = admin.testbed
    before = settled(testbed)

    up = admin.run("up", "--yes")
    assert up.returncode == 0, up.stdout + up.stderr
    assert up.stdout.rstrip().endswith("2 of 2 probes removed; PASS (replayed) (exit 0)")

    verdicts = json_of(admin.ok("verify", "-o", "json"))["verdicts"]
    assert {(v["node"], v["scheduled"], v["computed"], v["verdict"], v["replayed"]) for v in verdicts} == {
        (node, "pass", "pass", "PASS", True) for node in ("node1", "node2")
    }
    installed = settled(testbed)
    again = admin.ok("up", "--yes")
    assert "nothing to do: 7 objects and 2 nodes are as the spec says" in again
    assert snapshot(testbed) == installed

    testbed.run(["kubectl", "apply", "-f", "-"], input=HOLDER, text=True, check=True, capture_output=True)
    request.addfinalizer(lambda: testbed.kubectl("delete", "pod", "trainer", "--force", "--ignore-not-found"))
    testbed.kubectl("wait", "--for=condition=Ready", "pod/trainer", "--timeout=60s")
    node = testbed.kubectl("get", "pod", "trainer", "-o", "jsonpath={.spec.nodeName}")
    verified = admin.run("verify")
    assert verified.returncode == 3
    assert "held by default/trainer" in verified.stdout
    assert [r for r in admin.ok("status").splitlines() if r.startswith(node) and "default/trainer" in r]
    refused = admin.run("uninstall", "--yes")
    assert (refused.returncode, refused.stderr.splitlines()[0]) == (1, "error: pods hold GPUs: default/trainer")
    assert snapshot(testbed) == installed

    testbed.kubectl("delete", "pod", "trainer", "--grace-period=0", "--force")
    admin.ok("uninstall", "--yes")
    after = snapshot(testbed)
    assert _without_known_remains(after) == _without_known_remains(before)
    assert admin.ok("uninstall", "--yes") == "nothing of gpuready is in this cluster\n"


def test_a_pod_that_has_ended_holds_nothing(admin: Gpuready, request: pytest.FixtureRequest) -> None:
    """A finished job leaves its pod behind; its GPU is free, whatever the kubelet still says (before 1.34)."""
    testbed = admin.testbed
    admin.ok("up", "--yes")
    job = HOLDER.replace('[sleep, "600"]', '["true"]')
    testbed.run(["kubectl", "apply", "-f", "-"], input=job, text=True, check=True, capture_output=True)
    request.addfinalizer(lambda: testbed.kubectl("delete", "pod", "trainer", "--force", "--ignore-not-found"))
    testbed.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/trainer", "--timeout=60s")
    assert admin.ok("status").splitlines()[-1] == "0 held, 2 free, 0 failed"
    admin.ok("verify")


def test_undo_takes_the_last_run_back(admin: Gpuready) -> None:
    """After --undo the cluster is as it was before that run: nodes under other agents, or agents anew."""
    before = snapshot(admin.testbed)
    admin.ok("init", "--yes")
    assert snapshot(admin.testbed) == before
    assert admin.run("apply", "--dry-run=server").returncode == 0
    planned = admin.folder / "plan.json"
    planned.write_text(admin.ok("plan", "-o", "json"))
    admin.ok("up", "--yes")
    installed = snapshot(admin.testbed)
    spec = admin.folder / "gpuready.yaml"
    first = spec.read_text()
    spec.write_text(
        first.replace("injection: auto", "injection: devices").replace("#metricsPort: 9400", "metricsPort: 9401")
    )
    admin.ok("apply", "--yes")
    admin.ok("apply", "--undo", "--yes")
    assert differences(installed, snapshot(admin.testbed)) == []
    spec.write_text(first.replace("#metricsPort: 9400", "metricsPort: 9401"))
    admin.ok("apply", "--yes")
    admin.ok("apply", "--undo", "--yes")
    assert differences(installed, snapshot(admin.testbed)) == []
    assert admin.ok("status").splitlines()[-1] == "0 held, 2 free, 0 failed"
    admin.ok("uninstall", "--yes")
    assert _without_known_remains(snapshot(admin.testbed)) == _without_known_remains(before)


def test_the_exported_objects_are_what_up_applies(admin: Gpuready) -> None:
    """`plan --out-dir` in a cluster that was looked at gives files that kubectl applies, labels included."""
    admin.ok("up", "--yes")
    spec = admin.folder / "gpuready.yaml"
    spec.write_text(spec.read_text().replace("#metricsPort: 9400", "metricsPort: 9401"))
    out = admin.ok("plan", "--out-dir", "objects")
    assert [line.rsplit("/", 1)[1] for line in out.splitlines()] == [
        "01-daemonset-gpuready-agent-usr-local-nvidia-lib64-cdi.yaml"
    ]
    changed = admin.ok("up", "--yes")
    assert "change ds/gpuready-agent-usr-local-nvidia-lib64-cdi" in changed
    done = [line for line in changed.splitlines() if line.startswith("[")]
    assert sum("restart pod/gpuready-agent" in line for line in done) == 2
    assert admin.ok("status").splitlines()[-1] == "0 held, 2 free, 0 failed"


def _without_known_remains(objects: dict) -> dict:
    """The kubelet keeps `nvidia.com/gpu: 0` in capacity until it restarts: said by uninstall, left out here."""
    out = {}
    for key, obj in objects.items():
        if key.startswith("Node/"):
            status = dict(obj["status"])
            for field in ("capacity", "allocatable"):
                assert status[field].get("nvidia.com/gpu", "0") == "0"
                status[field] = {k: v for k, v in status[field].items() if k != "nvidia.com/gpu"}
            obj = {**obj, "status": status}
        out[key] = obj
    return out


def test_each_verb_needs_no_more_than_rbac_prints(admin: Gpuready) -> None:
    """Somebody with exactly the printed rights of a verb can run that verb, and `up` needs no cluster-admin."""
    installer = admin.grant("installer", "up")
    up = installer.run("up", "--yes")
    assert up.returncode == 0, up.stdout + up.stderr
    for user, verb, args in (
        ("planner", "plan", ()),
        ("verifier", "verify", ()),
        ("watcher", "status", ()),
        ("undoer", "apply", ("--undo", "--yes")),
        ("applier", "apply", ("--yes",)),
        ("remover", "uninstall", ("--yes",)),
    ):
        done = admin.grant(user, verb).run(verb, *args)
        assert done.returncode == 0, f"{verb}: {done.stdout}\n{done.stderr}"
    (admin.folder / "gpuready.yaml").unlink()
    surveyor = admin.grant("surveyor", "init")
    assert surveyor.run("init", "--yes").returncode == 0


def test_a_missing_right_is_named_before_anything_is_touched(admin: Gpuready) -> None:
    """A user who may only look is told what is missing and where to get it."""
    watcher = admin.grant("onlooker", "plan")
    before = snapshot(admin.testbed)
    done = watcher.run("up", "--yes")
    assert done.returncode == 1
    assert "REFUSED" in done.stdout
    assert "gpuready rbac VERB prints the rules that a verb needs" in done.stdout
    assert snapshot(admin.testbed) == before


def test_the_agent_is_confined_to_its_own_node(admin: Gpuready) -> None:
    """node1's agent token may not write to node2, nor anything but its own fields on node1."""
    admin.ok("up", "--yes")
    testbed = admin.testbed
    selector = "app.kubernetes.io/name=gpuready-agent"
    pods = testbed.kubectl(
        "get", "pods", "-n", "gpuready-system", "-l", selector, "--field-selector", "spec.nodeName=node1", "-o", "name"
    )
    pod = pods.strip()
    token_path = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    script = f"print(open('{token_path}').read())"
    token = testbed.kubectl("exec", "-n", "gpuready-system", pod, "--", "python3", "-c", script).strip()
    for node, patch, denied in (
        ("node2", '{"metadata":{"labels":{"nvidia.com/x":"1"}}}', "only to the node that it runs on"),
        ("node1", '{"metadata":{"labels":{"team":"x"}}}', "only labels that begin with nvidia.com/"),
        ("node1", '{"spec":{"unschedulable":true}}', "may not change a node's spec"),
        ("node1", '{"metadata":{"annotations":{"a":"b"}}}', "may not change a node's annotations"),
        ("node1", '{"metadata":{"finalizers":["example.com/x"]}}', "annotations, finalizers or owners"),
        (
            "node1",
            '{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"x","uid":"x"}]}}',
            "annotations, finalizers or owners",
        ),
        ("node1", '{"metadata":{"labels":{"nvidia.com/x":"1"}}}', ""),
    ):
        code, text = _as_agent(token, "PATCH", f"/api/v1/nodes/{node}", patch)
        assert (code, denied in text) == (422 if denied else 200, True), (node, patch, text)
    for status in (
        '{"capacity":{"example.com/x":"7"}}',
        '{"daemonEndpoints":{"kubeletEndpoint":{"Port":10251}}}',
        '{"volumesAttached":[{"name":"x","devicePath":"y"}]}',
        '{"images":null}',
    ):
        code, text = _as_agent(token, "PATCH", "/api/v1/nodes/node1/status", f'{{"status":{status}}}')
        assert (code, "may change only the condition gpuready.dev/GPUHealthy" in text) == (422, True), (status, text)
    assert _as_agent(token, "GET", "/api/v1/namespaces/gpuready-system/secrets")[0] == 403
    testbed.kubectl("label", "node", "node1", "nvidia.com/x-")


def _as_agent(token: str, method: str, path: str, body: str = "") -> tuple[int, str]:
    """Status and message of one request under the agent's own token."""
    request = urllib.request.Request(
        f"https://192.0.2.10{path}",
        data=body.encode() or None,
        method=method,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/merge-patch+json"},
    )
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(request, context=context) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()


def test_a_fault_of_the_gpu_is_seen_and_recovers(admin: Gpuready) -> None:
    """Xid 79 takes the GPU out of allocatable, with the reason in condition, event and status."""
    admin.ok("up", "--yes")
    testbed = admin.testbed
    node = testbed.node("node1")
    node.replayed().xid(0, 79)
    _until(lambda: _allocatable(testbed, "node1") == "0")
    status = admin.run("status")
    assert (status.returncode, "Xid 79" in status.stdout) == (2, True), status.stdout
    condition = testbed.kubectl(
        "get", "node", "node1", "-o", 'jsonpath={.status.conditions[?(@.type=="gpuready.dev/GPUHealthy")].status}'
    )
    assert condition == "False"
    verified = admin.run("verify")
    assert verified.returncode == 2, verified.stdout


def _allocatable(testbed, node: str) -> str:
    return testbed.kubectl("get", "node", node, "-o", r"jsonpath={.status.allocatable.nvidia\.com/gpu}")


def _until(holds, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "did not come about in time"
        time.sleep(0.3)


def test_an_agent_that_is_deleted_while_it_starts_ends_at_once(admin: Gpuready) -> None:
    """Before it has a handler for SIGTERM: as PID 1 of its pod it would live on for 30 seconds, and then be killed."""
    admin.ok("up", "--yes")
    testbed = admin.testbed
    (daemonset,) = json_of(testbed.kubectl("get", "ds", "-n", "gpuready-system", "-o", "json"))["items"]
    spec = daemonset["spec"]["template"]["spec"]
    container = {**spec["containers"][0], "command": [EXECUTABLE, "-c", "import time; time.sleep(600)"], "args": []}
    container = {k: v for k, v in container.items() if k not in ("ports", "readinessProbe", "livenessProbe")}
    meta = {"name": "starting", "namespace": "gpuready-system"}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**spec, "containers": [container]}}
    made = testbed.run(["kubectl", "create", "-f", "-"], input=json.dumps(pod), capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    testbed.kubectl("wait", "-n", "gpuready-system", "--for=condition=Ready", "pod/starting", "--timeout=60s")
    began = time.monotonic()
    testbed.kubectl("delete", "pod", "-n", "gpuready-system", "starting")
    assert time.monotonic() - began < 20


def test_the_agent_registers_again_when_the_kubelet_restarts(admin: Gpuready) -> None:
    """A restarted kubelet forgets its plugins; the agent comes back within seconds, without restarting itself."""
    admin.ok("up", "--yes")
    testbed = admin.testbed
    node = testbed.node("node1")
    node.stop_kubelet()
    node.start_kubelet()
    _until(lambda: _allocatable(testbed, "node1") == "1", 60)
    restarts = testbed.kubectl(
        "get", "pods", "-n", "gpuready-system", "-o", "jsonpath={.items[*].status.containerStatuses[*].restartCount}"
    )
    assert restarts == "0 0"
    admin.ok("verify")
