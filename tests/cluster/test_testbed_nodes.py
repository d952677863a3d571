"""What the other cluster tests rely on: a testbed's nodes are nodes, apart from each other, and can be commanded."""

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from testbed import Node, Testbed, TestbedError
from testbed.cluster import BUSYBOX
from testbed.settings import NodeGpus
from testbed.space import network_of

pytestmark = pytest.mark.cluster

NAMESPACE = "testbed-nodes"
CAPTURE = Path(__file__).parents[2] / "testbed" / "captures" / "constructed-1xh100.json"
ASK_API = (
    'wget -q -O - --no-check-certificate --header "Authorization: Bearer $(cat $SA/token)" '
    "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/default | grep -c resourceVersion"
).replace("$SA", "/var/run/secrets/kubernetes.io/serviceaccount")


def pod(name: str, node: str, command: str, host: str | None = None) -> dict[str, object]:
    mounts = [{"name": "host", "mountPath": "/host"}] if host else []
    container = {
        "name": "c",
        "image": BUSYBOX,
        "imagePullPolicy": "Always",
        "command": ["/bin/sh", "-c", command],
        "volumeMounts": mounts,
    }
    volumes = [{"name": "host", "hostPath": {"path": host}}] if host else []
    spec = {
        "nodeName": node,
        "terminationGracePeriodSeconds": 0,
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": volumes,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


@pytest.fixture(scope="module")
def start(testbed: Testbed) -> Iterator[Callable[..., str]]:
    """Start a pod and wait until it runs or has ended; the namespace is removed after the module."""
    testbed.kubectl("create", "namespace", NAMESPACE)
    for _ in range(100):
        if "default" in testbed.kubectl("-n", NAMESPACE, "get", "serviceaccounts", "-o", "name"):
            break
        time.sleep(0.1)

    def start(name: str, node: str, command: str, host: str | None = None) -> str:
        done = testbed.run(
            ["kubectl", "apply", "-f", "-"],
            input=json.dumps(pod(name, node, command, host)),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        for _ in range(300):
            phase = testbed.kubectl("-n", NAMESPACE, "get", "pod", name, "-o", "jsonpath={.status.phase}")
            if phase in ("Running", "Succeeded", "Failed"):
                return phase
            time.sleep(0.1)
        return testbed.kubectl("-n", NAMESPACE, "describe", "pod", name)

    yield start
    testbed.kubectl("delete", "namespace", NAMESPACE, "--wait=true")


def test_every_node_runs_a_pod_pulled_from_the_registry_and_the_api_reaches_it(
    testbed: Testbed, start: Callable[..., str]
) -> None:
    seen = {}
    for node in testbed.nodes:
        name = f"serves-{node.name}"
        phase = start(name, node.name, f"echo from {node.name}; httpd -f -p 8080 -h /etc")
        log = testbed.kubectl("-n", NAMESPACE, "logs", name)
        inside = testbed.kubectl("-n", NAMESPACE, "exec", name, "--", "hostname")
        proxied = testbed.kubectl("get", "--raw", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:8080/proxy/group")
        events = testbed.kubectl(
            "-n",
            NAMESPACE,
            "get",
            "events",
            "--field-selector",
            f"involvedObject.name={name},reason=Pulled",
            "-o",
            "name",
        )
        seen[node.name] = (phase, log, inside, proxied, bool(events))
    expected = {
        node.name: ("Running", f"from {node.name}\n", f"serves-{node.name}\n", "root:x:0:\nnobody:x:65534:\n", True)
        for node in testbed.nodes
    }
    assert seen == expected


def test_a_pod_reaches_the_api_at_its_service_address_with_its_own_token(
    testbed: Testbed, start: Callable[..., str]
) -> None:
    account, name = f"{NAMESPACE}:default", "testbed-reads-default"
    testbed.kubectl("create", "clusterrole", name, "--verb=get", "--resource=namespaces")
    testbed.kubectl("create", "clusterrolebinding", name, f"--clusterrole={name}", f"--serviceaccount={account}")
    try:
        start("asks-api", testbed.nodes[-1].name, f"{ASK_API}; sleep 1000")
        for _ in range(50):
            if testbed.kubectl("-n", NAMESPACE, "logs", "asks-api"):
                break
            time.sleep(0.1)
        assert testbed.kubectl("-n", NAMESPACE, "logs", "asks-api") == "1\n"
    finally:
        testbed.kubectl("delete", "clusterrolebinding,clusterrole", name)


def test_what_a_pod_sees_as_its_host_is_the_node(testbed: Testbed, start: Callable[..., str]) -> None:
    for node in testbed.nodes:
        name = f"looks-{node.name}"
        start(name, node.name, "sleep 1000", host="/")
        for folder in ("sys/bus/pci/devices", "proc/driver", "dev", "usr/local", "run"):
            by_pod = testbed.kubectl("-n", NAMESPACE, "exec", name, "--", "ls", "-A", f"/host/{folder}").split()
            assert sorted(by_pod) == sorted(path.name for path in (node.root / folder).iterdir()), folder
        assert testbed.kubectl("-n", NAMESPACE, "exec", name, "--", "cat", "/host/etc/hostname") == f"{node.name}\n"


def test_a_file_written_on_one_node_is_on_no_other_and_not_on_the_machine(testbed: Testbed) -> None:
    for folder in ("run", "etc", "usr/local", "var/lib/kubelet", "dev"):
        (testbed.nodes[0].root / folder / "testbed-was-here").write_text("x")
    try:
        for folder in ("run", "etc", "usr/local", "var/lib/kubelet", "dev"):
            found = testbed.nodes[0].run(["cat", f"/{folder}/testbed-was-here"], capture_output=True, text=True).stdout
            assert (folder, found) == (folder, "x")
            elsewhere = [node.root for node in testbed.nodes[1:]]
            assert [root for root in elsewhere if (root / folder / "testbed-was-here").exists()] == []
            assert testbed.run(["test", "-e", f"/{folder}/testbed-was-here"]).returncode == 1
    finally:
        for folder in ("run", "etc", "usr/local", "var/lib/kubelet", "dev"):
            (testbed.nodes[0].root / folder / "testbed-was-here").unlink(missing_ok=True)


def test_a_client_certificate_is_the_user_and_the_groups_it_says(testbed: Testbed) -> None:
    config = testbed.kubeconfig_for("jane", ["team-a", "team-b"])
    answer = testbed.run(
        ["kubectl", "--kubeconfig", str(config), "auth", "whoami", "-o", "json"], capture_output=True, text=True
    )
    user = json.loads(answer.stdout)["status"]["userInfo"]
    assert (user["username"], user["groups"]) == ("jane", ["team-a", "team-b", "system:authenticated"])
    assert oct(config.stat().st_mode & 0o777) == "0o600"


@pytest.mark.parametrize("part", ["kubelet", "containerd"])
def test_a_stopped_part_of_a_node_is_gone_and_comes_back(testbed: Testbed, part: str) -> None:
    node = testbed.nodes[0]
    before = node.space.process(part)
    getattr(node, f"stop_{part}")()
    assert node.space.process(part) is None
    getattr(node, f"start_{part}")()
    node.wait_ready()
    after = node.space.process(part)
    assert before is not None
    assert after is not None
    assert after.pid != before.pid


def test_a_stopped_api_refuses_and_comes_back_with_its_objects(testbed: Testbed) -> None:
    before = testbed.kubectl("get", "nodes", "-o", "name")
    testbed.stop_api()
    try:
        with pytest.raises(TestbedError, match=r"The connection to the server 192\.0\.2\.10:443 was refused"):
            testbed.kubectl("get", "nodes")
    finally:
        testbed.start_api()
    assert testbed.kubectl("get", "nodes", "-o", "name") == before


def test_a_node_whose_cable_is_pulled_reaches_nothing_until_it_is_plugged(testbed: Testbed) -> None:
    node = testbed.nodes[0]
    reached = {}
    for when, plugged in (("before", True), ("pulled", False), ("after", True)):
        node.set_cable(plugged=plugged)
        with network_of(node.space.pid()):
            reached[when] = reaches_registry(testbed, seconds=20 if plugged else 3)
    assert reached == {"before": True, "pulled": False, "after": True}


def reaches_registry(testbed: Testbed, *, seconds: float) -> bool:
    host, port = testbed.registry.split(":")
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.2)
    return False


def state(testbed: Testbed) -> dict[str, object]:
    """Objects without what every kubelet changes by itself."""
    found: dict[str, object] = {}
    for item in json.loads(
        testbed.kubectl(
            "get", "namespaces,nodes,pods,configmaps,serviceaccounts,daemonsets,clusterroles", "-A", "-o", "json"
        )
    )["items"]:
        meta = item["metadata"]
        meta.pop("resourceVersion")
        for condition in item.get("status", {}).get("conditions", []):
            condition.pop("lastHeartbeatTime", None)
        item.get("status", {}).pop("images", None)
        found[f"{item['kind']}/{meta.get('namespace', '')}/{meta['name']}"] = item
    return found


def settled(testbed: Testbed) -> dict[str, object]:
    """The state when it has been the same for a second."""
    found = state(testbed)
    for _ in range(20):
        time.sleep(1)
        if (now := state(testbed)) == found:
            break
        found = now
    return found


def make_changes(testbed: Testbed) -> None:
    labels = {"app": "testbed-later"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [{"name": "c", "image": BUSYBOX, "command": ["sleep", "1000"]}]},
    }
    later = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "later", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    testbed.run(["kubectl", "apply", "-f", "-"], input=json.dumps(later), text=True, check=True, capture_output=True)
    testbed.kubectl("rollout", "status", "daemonset/later", "--timeout=60s")
    testbed.kubectl("label", "nodes", "--all", "testbed.example/later=yes")
    testbed.kubectl("delete", "clusterrole", "view")
    for node in testbed.nodes:
        (node.root / "run/cdi").mkdir(exist_ok=True)
        (node.root / "run/cdi/later.json").write_text("{}")
        (node.root / "etc/hostname").write_text("changed\n")
        (node.root / "etc/shells").unlink(missing_ok=True)


def files(node: Node) -> tuple[bool, str, bool]:
    return (
        (node.root / "run/cdi").exists(),
        (node.root / "etc/hostname").read_text(),
        (node.root / "etc/shells").exists(),
    )


def test_a_restored_snapshot_is_the_same_objects_and_the_same_files(testbed: Testbed) -> None:
    before, files_before = settled(testbed), [files(node) for node in testbed.nodes]
    testbed.snapshot("before")
    make_changes(testbed)
    assert state(testbed) != before
    testbed.restore("before")
    deadline = time.monotonic() + 20
    while state(testbed) != before and time.monotonic() < deadline:
        time.sleep(0.2)
    assert state(testbed) == before
    assert [files(node) for node in testbed.nodes] == files_before


@pytest.mark.parametrize(
    ("root", "programs", "libraries"),
    [
        ("/usr/local/nvidia", "/usr/local/nvidia/bin", "/usr/local/nvidia/lib64"),
        ("/run/nvidia/driver", "/run/nvidia/driver/usr/bin", "/run/nvidia/driver/usr/lib/x86_64-linux-gnu"),
        ("/", "/usr/bin", "/usr/lib/x86_64-linux-gnu"),
    ],
)
def test_a_node_powered_on_again_has_the_replayed_gpu_under_its_driver_root_and_only_it(
    testbed: Testbed, root: str, programs: str, libraries: str
) -> None:
    node = testbed.nodes[-1]
    had = node.settings.gpus.get(node.name, NodeGpus())
    node.power_off()
    node = node.power_on(NodeGpus(capture=str(CAPTURE), driver_root=root))
    try:
        seen = node.run(
            [f"{programs}/nvidia-smi", "-L"], capture_output=True, text=True, env={"LD_LIBRARY_PATH": libraries}
        )
        (gpu,) = node.replayed().gpus
        assert (seen.returncode, seen.stdout) == (0, f"GPU 0: {gpu['name']} (UUID: {gpu['uuid']})\n")
        devices = sorted(
            str(path.relative_to(node.root)) for path in (node.root / "dev").glob("nvidia*") if path.is_char_device()
        )
        assert devices == [
            "dev/nvidia-modeset",
            "dev/nvidia-uvm",
            "dev/nvidia-uvm-tools",
            "dev/nvidia0",
            "dev/nvidiactl",
        ]
        assert (node.root / "sys/module/nvidia/version").read_text().strip() == node.replayed().driver_version
    finally:
        node.power_off()
        node.power_on(had)
