"""The demo's cluster as a whole: what is in it at first, and the night that the guided run lives through."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from gpuready.adapters.demo.answers import KERNEL, printed
from gpuready.adapters.demo.kubelet import Kubelets
from gpuready.adapters.demo.server import VERSION, Api, Pods, Server
from gpuready.adapters.demo.store import Json, Key, Store, key_of, now
from gpuready.model.names import RESOURCE

NAME = "simulated"
NODES = ("simulated-1", "simulated-2")
UID = "51a00000-0000-4000-8000-000000000000"
ML, CHECKS = "ml", "gpu-checks"


class Simulated:
    """`with Simulated() as cluster:` serves it; `kubeconfig` leads there."""

    def __init__(self) -> None:
        self.store = Store()
        for obj in _at_first():
            self.store.create(obj, "kubelet")
        self.kubelets = Kubelets(self.store)
        self.kubelets.handlers = {node: {"runc", "nvidia"} for node in NODES}
        self.server = Server(Api(self.store, Pods(printed, self.kubelets.page)))

    def __enter__(self) -> Simulated:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kubelets.stop()
        self.server.stop()

    def write_kubeconfig(self, path: Path, url: str = "") -> None:
        """For this user alone."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": NAME,
            "clusters": [{"name": NAME, "cluster": {"server": url or self.server.url}}],
            "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
            "users": [{"name": NAME, "user": {"token": self.server.token}}],
        }
        path.touch(0o600)
        path.write_text(json.dumps(config))

    def evening(self) -> None:
        """A sample is run in a namespace whose mesh puts a sidecar into every pod. Its work is done in a second."""
        for obj in (*namespaces(), sample(NODES[0])):
            self.store.create(obj, "kubectl")

    def night(self) -> None:
        """The node reboots, and its runtime comes up with the file of the image. Then the checks of a boot are run."""
        node = NODES[0]
        with self.store.changed:
            self.kubelets.handlers[node] = {"runc"}
            self.store.change(key_of(sample(node)), _restarted)
            for check in checks(node):
                self.store.create(check, "kubectl")

    def sample_is_done(self) -> bool:
        sample = self.store.get(Key("api/v1", "pods", ML, "cuda-vectoradd"))
        return any("terminated" in one["state"] for one in sample["status"].get("containerStatuses", ()))

    def checks_have_failed(self) -> bool:
        return {"UnexpectedAdmissionError", "FailedCreatePodSandBox"} <= {
            e["reason"] for e in self.store.find("events")
        }

    def checks_have_passed(self) -> bool:
        return all(p["status"]["phase"] in ("Running", "Succeeded") for p in self.store.find("pods", CHECKS)) and not (
            self.kubelets.holders(NODES[0])
        )

    def wait(self, until: Callable[[], bool], seconds: float = 10) -> bool:
        with self.store.changed:
            return self.store.changed.wait_for(until, seconds)


def _at_first() -> list[Json]:
    system = {"name": "kube-system", "uid": UID, "labels": {"kubernetes.io/metadata.name": "kube-system"}}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": system, "status": {"phase": "Active"}},
        *map(_node, NODES),
        RUNTIME_CLASS,
    ]


def _node(name: str) -> Json:
    room = {"cpu": "16", "memory": "131072000Ki", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "spec": {},
        "status": {
            "capacity": dict(room),
            "allocatable": dict(room),
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "KubeletReady",
                    "message": "a simulated kubelet is ready",
                    "lastTransitionTime": now(),
                }
            ],
            "nodeInfo": {
                "kubeletVersion": VERSION["gitVersion"],
                "containerRuntimeVersion": "containerd://2.2.0",
                "kernelVersion": KERNEL,
                "osImage": "Linux (simulated)",
                "operatingSystem": "linux",
                "architecture": "amd64",
            },
        },
    }


def namespaces() -> list[Json]:
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in (ML, CHECKS)]


def _pod(namespace: str, name: str, *containers: Json, **spec: object) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {"restartPolicy": "OnFailure", "containers": list(containers), **spec},
    }


RUNTIME_CLASS = {
    "apiVersion": "node.k8s.io/v1",
    "kind": "RuntimeClass",
    "metadata": {"name": "nvidia"},
    "handler": "nvidia",
}
GPU: Json = {"resources": {"limits": {RESOURCE: "1"}, "requests": {RESOURCE: "1"}}}


def sample(node: str) -> Json:
    main = {"name": "cuda-vectoradd", "image": "simulated/cuda-sample:vectoradd", **GPU}
    return _pod(ML, "cuda-vectoradd", main, {"name": "istio-proxy", "image": "simulated/proxy"}, nodeName=node)


def checks(node: str) -> list[Json]:
    """What a GPU stack starts on a node after its boot, bound to it without the scheduler."""
    plugin = {"name": "device-plugin-validator", "image": "simulated/validator", **GPU}
    toolkit = {"name": "toolkit-validator", "image": "simulated/validator"}
    return [
        _pod(CHECKS, "toolkit-validator", toolkit, nodeName=node, runtimeClassName="nvidia"),
        _pod(CHECKS, "device-plugin-validator", plugin, nodeName=node),
    ]


def _restarted(pod: Json) -> None:
    """A reboot ends what ran; what had ended well is not run again."""
    died = {"terminated": {"exitCode": 255, "reason": "Unknown", "startedAt": now(), "finishedAt": now()}}
    for one in pod["status"]["containerStatuses"]:
        if "running" in one["state"]:
            one.update(lastState=died, restartCount=one["restartCount"] + 1, state={"running": {"startedAt": now()}})
