"""The run's hands inside a testbed of one node: gpuready as its user runs it, pods, images, the agent."""

from __future__ import annotations

import http.client
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed import Testbed, images
from testbed.cluster import BUSYBOX
from testbed.node import Node
from testbed.written import Entry, written
from tests.gpu.record import Failed

Json = dict[str, Any]
NAMESPACE = "gpuready-system"
RESOURCE = "nvidia.com/gpu"
METRICS_PORT = 9400
OWN_PATH = "/opt/own:/usr/local/lib"  # the LD_LIBRARY_PATH of an image that sets its own
KUBELETS_OWN = ("kubelet_internal_checkpoint", "kubelet.sock")  # in its device-plugins folder
KERNELS_OWN = ("pts", "shm", "mqueue", "fd")  # in /dev
# What a program loads besides libc: libcuda.so.1 is linked to these
PROGRAM_LIBRARIES = ("libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1")


@dataclass(frozen=True)
class PodResult:
    """How a pod ended. `seconds` from kubectl's return, when the pod exists, to its last container's end."""

    phase: str
    log: str
    seconds: float


@dataclass(frozen=True)
class Cluster:
    testbed: Testbed
    folder: Path  # where gpuready.yaml appears

    @property
    def node(self) -> Node:
        return self.testbed.node("node1")

    # gpuready

    def gpuready(self, *args: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        env = {
            **os.environ,
            "KUBECONFIG": str(self.testbed.kubeconfig),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "XDG_CACHE_HOME": str(self.folder.parent / "cache"),
            "NO_COLOR": "1",
        }
        command = [sys.executable, "-m", "gpuready", *args]
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=timeout)

    def ok(self, *args: str) -> str:
        """Its output; Failed with its last words when it does not exit 0."""
        done = self.gpuready(*args)
        if done.returncode != 0:
            said = f"{done.stderr.strip()[-600:]} | {done.stdout.strip()[-900:]}"
            raise Failed(f"gpuready {args[0]}: exit {done.returncode}: {said}")
        return done.stdout

    def json(self, *args: str) -> Json:
        return dict(json.loads(self.ok(*args, "-o", "json")))

    # the API

    def object(self, path: str) -> Json:
        found = self.testbed.control.object(path)
        if found is None:
            raise Failed(f"the API has no {path}, or does not answer")
        return found

    def allocatable(self) -> str:
        return str(self.object("/api/v1/nodes/node1")["status"]["allocatable"].get(RESOURCE, "none"))

    def labels(self) -> dict[str, str]:
        return dict(self.object("/api/v1/nodes/node1")["metadata"]["labels"])

    def agent(self) -> Json:
        """The agent's pod."""
        path = f"/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io/name%3Dgpuready-agent"
        pods = [pod for pod in self.object(path)["items"] if not pod["metadata"].get("deletionTimestamp")]
        if len(pods) != 1:
            raise Failed(f"{len(pods)} agent pods run, 1 ought to")
        return dict(pods[0])

    def metrics(self) -> str:
        """The agent's page through the API server's proxy, as a person without access to the pods' network gets it."""
        name = self.agent()["metadata"]["name"]
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}:{METRICS_PORT}/proxy/metrics"
        status, body = self.testbed.control.get(path)
        if status != 200:
            raise Failed(f"{path}: {status} {body[:300]!r}")
        return body.decode()

    def page(self, address: str, path: str = "/metrics") -> str | None:
        """The agent's page straight from its pod's address; None while nobody answers."""
        connection = http.client.HTTPConnection(address, METRICS_PORT, timeout=2)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.read().decode() if answer.status == 200 else None
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    # pods

    def create(self, manifest: Json) -> None:
        done = self.testbed.run(
            ["kubectl", "create", "-f", "-"], input=json.dumps(manifest), capture_output=True, text=True
        )
        if done.returncode != 0:
            raise Failed(f"kubectl create: {done.stderr.strip()}")

    def delete(self, name: str) -> None:
        self.testbed.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--ignore-not-found")

    def phase(self, name: str) -> str:
        return str(self.object(f"/api/v1/namespaces/default/pods/{name}")["status"].get("phase", ""))

    def wait_phase(self, name: str, wanted: tuple[str, ...], seconds: float = 90) -> str:
        end = time.monotonic() + seconds
        while (phase := self.phase(name)) not in wanted:
            if time.monotonic() > end:
                told = self.testbed.kubectl("describe", "pod", name)
                raise Failed(f"pod {name} is {phase} after {seconds:.0f} s: {told[-700:]}")
            time.sleep(0.05)
        return phase

    def run_pod(self, manifest: Json) -> PodResult:
        """Create it, wait for its end, read its log, delete it."""
        name = manifest["metadata"]["name"]
        self.create(manifest)
        began = time.monotonic()
        try:
            phase = self.wait_phase(name, ("Succeeded", "Failed"))
            seconds = round(time.monotonic() - began, 2)
            status, log = self.testbed.control.get(f"/api/v1/namespaces/default/pods/{name}/log")
            return PodResult(phase, log.decode(errors="replace") if status == 200 else f"(no log: {status})", seconds)
        finally:
            self.delete(name)

    # the node's files

    def files(self) -> dict[str, Entry]:
        """Everything written on the node and the names in its /dev, but the kubelet's own in device-plugins."""
        found = written(self.node.root, self.node.upper)
        dev = self.node.root / "dev"
        names = [str(path.relative_to(dev)) for path in dev.glob("**/*")]
        found |= {f"dev/{name}": Entry("name") for name in names if not name.startswith(KERNELS_OWN)}
        # the driver's library sets the modes of its device nodes
        found |= {path: Entry("name") for path in found if "/dev/" in f"/{path}"}
        return {path: entry for path, entry in found.items() if not path.endswith(KUBELETS_OWN)}

    def cdi(self) -> Json:
        """Our CDI document as it lies on the node."""
        text = (self.node.root / "run/cdi/gpuready.dev-gpu.json").read_text()
        return dict(json.loads(text))


def pod(name: str, image: str, args: list[str], command: list[str] | None = None) -> Json:
    """An ordinary pod that asks for one GPU: nobody's uid, no capability, no token."""
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
    container: Json = {
        "name": "main",
        "image": image,
        "args": args,
        "securityContext": {**locked, "runAsUser": 65534, "runAsGroup": 65534},
        "resources": {"limits": {RESOURCE: 1}},
    }
    if command:
        container["command"] = command
    spec = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "default"}, "spec": spec}


def driver_container() -> Json:
    """A stand-in for the pod of a driver container, which is what makes gpuready look below /run/nvidia on its node."""
    labels = {"app": "nvidia-driver-daemonset"}
    container = {"name": "main", "image": BUSYBOX, "command": ["sleep", "2147483647"]}
    spec = {"nodeName": "node1", "terminationGracePeriodSeconds": 0, "containers": [container]}
    metadata = {"name": "nvidia-driver-stand-in", "namespace": "default", "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def _registry_get(connection: http.client.HTTPConnection, path: str, accept: str) -> bytes:
    connection.request("GET", path, headers={"Accept": accept})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise Failed(f"the registry has no {path}: {answer.status}")
    return body


def own_path_image(registry: str, reference: str) -> str:
    """The same image, but that it sets an LD_LIBRARY_PATH of its own; returns its reference by digest."""
    repository, _, digest = reference.removeprefix(f"{registry}/").partition("@")
    connection = http.client.HTTPConnection(registry, timeout=30)
    try:
        manifest = json.loads(_registry_get(connection, f"/v2/{repository}/manifests/{digest}", images.MANIFEST))
        place = f"/v2/{repository}/blobs/{manifest['config']['digest']}"
        config = json.loads(_registry_get(connection, place, "*/*"))
        others = [entry for entry in config["config"]["Env"] if not entry.startswith("LD_LIBRARY_PATH=")]
        config["config"]["Env"] = [*others, f"LD_LIBRARY_PATH={OWN_PATH}"]
        packed = json.dumps(config).encode()
        images.upload(connection, repository, packed)
        manifest["config"] |= {"digest": images.digest(packed), "size": len(packed)}
        return f"{registry}/{images.put_manifest(connection, repository, 'own', json.dumps(manifest).encode())}"
    finally:
        connection.close()


def program_image(registry: str, program: Path) -> str:
    """An image of one C program, its loader and the C library of this machine; nothing else, no loader cache."""
    lines = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout.splitlines()
    loader = next(line.split()[0] for line in lines if "ld-linux" in line)
    libc = next(Path(line.split("=> ")[1].split()[0]) for line in lines if "libc.so.6" in line)
    files = {"vadd": program, loader.lstrip("/"): Path(loader)}
    files |= {f"lib/x86_64-linux-gnu/{name}": libc.with_name(name) for name in PROGRAM_LIBRARIES}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, source in sorted(files.items()):
            data = source.resolve().read_bytes()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            tar.addfile(entry, io.BytesIO(data))
    return images.push(registry, "vadd", "1", buffer.getvalue(), ["/vadd"])
