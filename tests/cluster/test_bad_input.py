"""Bad input: one clear message with the next step, exit code 1, and nothing changed."""

from __future__ import annotations

import base64
import datetime
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.product import Gpuready
from tests.cluster.snapshot import settled, snapshot

pytestmark = pytest.mark.cluster

# sentence, arguments, what is prepared first (None: nothing), what the message must say, what the next step must say
CASES = [
    ("no kubeconfig at all", ["plan"], lambda g: _kubeconfig(g, g.folder / "none"), "kubeconfig", "--kubeconfig"),
    ("an API server that nobody is at", ["up", "--yes"], lambda g: _server(g, "https://192.0.2.10:1"), "refuse", ""),
    ("an expired client certificate", ["up", "--yes"], lambda g: _expired(g), "expired", ""),
    ("a context that is not there", ["plan", "--context", "nosuch"], None, "nosuch", ""),
    (
        "a spec that is no YAML",
        ["plan", "-f", "bad.yaml"],
        lambda g: _write(g, "bad.yaml", "a: [1"),
        "bad.yaml:2:1",
        "",
    ),
    (
        "a misspelt key in the spec",
        ["plan", "-f", "s.yaml"],
        lambda g: _write(g, "s.yaml", SPEC.replace("image:", "imgae:")),
        "did you mean 'image'",
        "gpuready schema",
    ),
    (
        "a spec for another cluster",
        ["up", "--yes", "-f", "s.yaml"],
        lambda g: _write(g, "s.yaml", SPEC.replace("image:", "cluster: {uid: somebody-elses}\n  image:")),
        "the spec is for another cluster",
        "--context",
    ),
    (
        "a node that the cluster has not",
        ["up", "--yes", "-f", "s.yaml"],
        lambda g: _write(g, "s.yaml", SPEC + "  nodes: {names: [gpu-77]}\n"),
        "gpu-77",
        "kubectl get nodes",
    ),
    ("a plan that is none", ["apply", "p.json"], lambda g: _write(g, "p.json", "{}"), "no plan", "gpuready plan"),
    (
        "another cluster's plan",
        ["apply", "p.json", "--yes"],
        lambda g: _foreign_plan(g),
        "another cluster",
        "--context",
    ),
    ("an unknown verb", ["upp"], None, "No such command 'upp'", "gpuready --help"),
    ("an unknown option", ["up", "--frce"], None, "No such option", "gpuready up --help"),
    ("contradicting options", ["apply", "--resume", "--undo"], None, "one of", "gpuready apply --help"),
    ("a duration that is none", ["up", "--timeout", "soon"], None, "soon", ""),
    (
        "no node that the spec means",
        ["up", "--yes", "-f", "s.yaml"],
        lambda g: _write(g, "s.yaml", SPEC + "  nodes: {matchLabels: {team: nobody}}\n"),
        "gpuready does not go on",
        "",
    ),
    ("nothing to resume", ["apply", "--resume", "--yes"], None, "no unfinished run", "gpuready up"),
    ("nothing to undo", ["apply", "--undo", "--yes"], None, "no run to undo", ""),
    ("verify before anything is installed", ["verify"], None, "nothing of gpuready is installed", "gpuready up"),
    ("no terminal and no --yes", ["up"], None, "no terminal to ask on", "--yes"),
    (
        "an image that cannot be pulled",
        ["up", "--yes", "--image", "192.0.2.10:5000/nosuch:1"],
        None,
        "ImagePullBackOff",
        "gpuready image push",
    ),
    (
        "an image that is not ours",
        ["up", "--yes", "--image", "192.0.2.10:5000/testbed/busybox:1"],
        None,
        "look",
        "",
    ),
]

SPEC = """apiVersion: gpuready.dev/v1alpha1
kind: GPUSetup
metadata: {name: x}
spec:
  image: {reference: 192.0.2.10:5000/gpuready:test}
"""


@pytest.mark.parametrize(("sentence", "args", "prepare", "says", "next_"), CASES, ids=[c[0] for c in CASES])
def test_bad_input(
    admin: Gpuready, sentence: str, args: list[str], prepare: Callable[[Gpuready], None] | None, says: str, next_: str
) -> None:
    before = settled(admin.testbed)
    product = Gpuready(admin.testbed, admin.folder, admin.image, admin.kubeconfig)
    if prepare:
        prepare(product)
    done = product.run(*args)
    assert (done.returncode, says in done.stderr, next_ in done.stderr) == (1, True, True), done.stdout + done.stderr
    assert snapshot(admin.testbed) == before


def _kubeconfig(product: Gpuready, path: Path) -> None:
    product.kubeconfig = path


def _write(product: Gpuready, name: str, text: str) -> None:
    (product.folder / name).write_text(text)


def _server(product: Gpuready, url: str) -> None:
    config = json.loads(product.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = url
    path = product.folder / "kubeconfig"
    path.write_text(json.dumps(config))
    product.kubeconfig = path


def _expired(product: Gpuready) -> None:
    product.kubeconfig = product.testbed.kubeconfig_for(
        "late", ["system:masters"], lifetime=datetime.timedelta(days=-1)
    )


def _foreign_plan(product: Gpuready) -> None:
    plan = json.loads(product.ok("plan", "-o", "json"))
    plan["plan"]["clusterUid"] = "somebody-elses"
    _write(product, "p.json", json.dumps(plan))


def test_two_owners_of_the_resource_are_refused(admin: Gpuready) -> None:
    """A device plugin of somebody else's is named, and nothing is touched."""
    admin.testbed.run(["kubectl", "apply", "-f", "-"], input=OTHER_PLUGIN, text=True, check=True, capture_output=True)
    try:
        before = settled(admin.testbed)
        done = admin.run("up", "--yes")
        assert done.returncode == 1
        assert "nvidia-device-plugin" in done.stdout + done.stderr
        assert snapshot(admin.testbed) == before
    finally:
        admin.testbed.kubectl(
            "delete", "ds", "nvidia-device-plugin-daemonset", "-n", "kube-system", "--cascade=foreground"
        )


OTHER_PLUGIN = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: nvidia-device-plugin-daemonset, namespace: kube-system}
spec:
  selector: {matchLabels: {name: nvidia-device-plugin-ds}}
  template:
    metadata: {labels: {name: nvidia-device-plugin-ds}}
    spec:
      containers:
      - image: nvcr.io/nvidia/k8s-device-plugin:v0.17.1
        name: nvidia-device-plugin-ctr
        volumeMounts: [{name: device-plugin, mountPath: /var/lib/kubelet/device-plugins}]
      volumes: [{name: device-plugin, hostPath: {path: /var/lib/kubelet/device-plugins}}]
"""


def test_a_full_disk_is_told_before_anything_is_changed(admin: Gpuready) -> None:
    """The first entries of the journal cannot be written, so nothing is begun."""
    state = admin.folder / "state"
    state.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(state)], check=True)
    try:
        (state / "gpuready").mkdir()
        (state / "fill").write_bytes(b"x" * 4096)
        before = settled(admin.testbed)
        done = admin.run("up", "--yes")
        assert (done.returncode, "No space left on device" in done.stderr) == (1, True), done.stderr
        assert snapshot(admin.testbed) == before
    finally:
        subprocess.run(["umount", str(state)], check=True)


def test_a_namespace_being_deleted_is_waited_out_by_the_user(admin: Gpuready) -> None:
    """A finalizer holds gpuready-system; `up` says so and touches nothing."""
    testbed = admin.testbed
    testbed.kubectl("create", "ns", "gpuready-system")
    testbed.kubectl("create", "cm", "stuck", "-n", "gpuready-system", "--from-literal=a=b")
    testbed.kubectl(
        "patch", "cm", "stuck", "-n", "gpuready-system", "-p", '{"metadata":{"finalizers":["example.com/hold"]}}'
    )
    testbed.kubectl("delete", "ns", "gpuready-system", "--wait=false")
    try:
        done = admin.run("up", "--yes")
        assert (done.returncode, "being deleted" in done.stdout + done.stderr) == (1, True), done.stdout + done.stderr
    finally:
        testbed.kubectl("patch", "cm", "stuck", "-n", "gpuready-system", "-p", '{"metadata":{"finalizers":null}}')
        testbed.kubectl("wait", "--for=delete", "ns/gpuready-system", "--timeout=60s")


def test_a_webhook_that_denies_is_named(admin: Gpuready) -> None:
    """A policy that denies our pods is quoted, and the look is taken back."""
    testbed = admin.testbed
    testbed.run(["kubectl", "apply", "-f", "-"], input=POLICY, text=True, check=True, capture_output=True)
    try:
        before = settled(testbed)
        for _ in range(20):  # a new policy takes effect within seconds
            done = admin.run("up", "--yes")
            if done.returncode:
                break
            admin.ok("uninstall", "--yes")
        assert "no pods of this kind here" in done.stderr, done.stderr
        assert snapshot(testbed) == before
    finally:
        testbed.kubectl("delete", "validatingadmissionpolicybinding,validatingadmissionpolicy", "no-pods")


POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: no-pods}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}]
  validations:
  - {expression: "!object.metadata.name.startsWith('gpuready-look')", message: no pods of this kind here}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: no-pods}
spec: {policyName: no-pods, validationActions: [Deny]}
"""


def test_the_key_of_a_kubeconfig_never_comes_out(admin: Gpuready) -> None:
    """Neither the private key nor a token of the kubeconfig is in any output, good or bad."""
    config = json.loads(admin.kubeconfig.read_text())
    key = config["users"][0]["user"]["client-key-data"]
    secrets = [key, base64.b64decode(key).decode().splitlines()[1]]
    outputs = [admin.run(*args) for args in (["plan"], ["plan", "-o", "json"], ["status"], ["verify"], ["up"])]
    texts = [o.stdout + o.stderr for o in outputs]
    assert [s for s in secrets for t in texts if s in t] == []
