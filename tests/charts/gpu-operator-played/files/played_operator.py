"""PLAYED: does to the objects of the API what NVIDIA's GPU Operator does, as far as gpuready's tests look."""

import json
import os
import ssl
import time
import urllib.error
import urllib.request

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
NAMESPACE = os.environ["NAMESPACE"]
SERVER = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
TLS = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
PLAYED = {"played.gpuready.dev/by": "played-gpu-operator"}
POLICIES = "/apis/nvidia.com/v1/clusterpolicies"
SETS = f"/apis/apps/v1/namespaces/{NAMESPACE}/daemonsets"
PLUGIN, PLUGINS, CDI = "nvidia-device-plugin-daemonset", "/var/lib/kubelet/device-plugins", "/var/run/cdi"
RESOURCES = "/var/lib/kubelet/pod-resources"


def ask(method, path, body=None, kind="application/json"):
    """The answer; None where there is no such object."""
    with open(f"{ACCOUNT}/token") as token:
        headers = {"Authorization": f"Bearer {token.read()}", "Content-Type": kind}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(SERVER + path, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, context=TLS, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise RuntimeError(f"{method} {path}: {error.code} {error.read()[:300]}") from None


def merge(path, body):
    return ask("PATCH", path, body, "application/merge-patch+json")


def owned(policy, name, **more):
    owner = {k: policy[k] for k in ("apiVersion", "kind")} | {k: policy["metadata"][k] for k in ("name", "uid")}
    return {"name": name, "labels": PLAYED, "ownerReferences": [{**owner, "controller": True}], **more}


def mark_nodes():
    """As discovery and the operator do; a node with operands=false gets nothing."""
    for node in ask("GET", "/api/v1/nodes")["items"]:
        labels, name = node["metadata"]["labels"], node["metadata"]["name"]
        off = labels.get("nvidia.com/gpu.deploy.operands") == "false"
        wanted = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.deploy.device-plugin": None if off else "true"}
        if any(labels.get(k) != v for k, v in wanted.items()):
            merge(f"/api/v1/nodes/{name}", {"metadata": {"labels": wanted}})


def device_plugin(policy):
    spec, root = policy["spec"]["devicePlugin"], policy["spec"]["hostPaths"]["driverInstallDir"]
    mark = "@" if spec["version"].startswith("sha256:") else ":"
    lib = f"{root}/lib64"
    folders = {"plugins": PLUGINS, "resources": RESOURCES, "driver": lib, "cdi": CDI, "dev": "/dev"}
    at = {**folders, "driver": f"/host{lib}"}
    args = ["agent", f"--driver-root={root}", f"--lib-dir={lib}", "--injection=cdi", "--listen=:9400"]
    container = {
        "name": "nvidia-device-plugin",
        "image": f"{spec['repository']}/{spec['image']}{mark}{spec['version']}",
        "args": [*args, "--no-node-writes"],
        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "terminationMessagePath": "/run/termination-log",
        "securityContext": {"privileged": True},
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 9400}, "periodSeconds": 1},
        "volumeMounts": [{"name": n, "mountPath": p} for n, p in at.items()],
    }
    kinds = {"cdi": "DirectoryOrCreate"}
    volumes = [{"name": n, "hostPath": {"path": p, "type": kinds.get(n, "Directory")}} for n, p in folders.items()]
    pod = {
        "nodeSelector": {"nvidia.com/gpu.deploy.device-plugin": "true"},
        "tolerations": policy["spec"]["daemonsets"].get("tolerations", []),
        "shareProcessNamespace": True,
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": volumes,
    }
    labels = {"app": PLUGIN}
    template = {"metadata": {"labels": labels}, "spec": pod}
    body = {"selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": owned(policy, PLUGIN), "spec": body}


def reconcile(policy):
    mark_nodes()
    name = policy["spec"]["operator"]["runtimeClass"]
    if ask("GET", f"/apis/node.k8s.io/v1/runtimeclasses/{name}") is None:
        # the real one's handler is nvidia, which the toolkit would have put into the runtime's configuration
        made = {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": owned(policy, name)}
        ask("POST", "/apis/node.k8s.io/v1/runtimeclasses", {**made, "handler": "runc"})
    live = ask("GET", f"{SETS}/{PLUGIN}")
    if live is None:
        live = ask("POST", SETS, device_plugin(policy))
    status = live.get("status", {})
    wanted, ready = status.get("desiredNumberScheduled", 0), status.get("numberReady", 0)
    state = "ready" if wanted and ready == wanted else "notReady"
    if policy.get("status", {}).get("state") != state:
        merge(f"{POLICIES}/{policy['metadata']['name']}/status", {"status": {"namespace": NAMESPACE, "state": state}})
        print(f"played-gpu-operator: ClusterPolicy is {state}: {PLUGIN} {ready} of {wanted} ready", flush=True)


while True:
    try:
        for found in ask("GET", POLICIES)["items"]:
            reconcile(found)
    except (RuntimeError, OSError) as error:
        print(f"played-gpu-operator: {error}", flush=True)
    time.sleep(1)
