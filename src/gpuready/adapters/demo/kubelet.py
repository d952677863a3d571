"""Two nodes that act as if: a scheduler, the DaemonSet controller and kubelets, as far as the demo can see them."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from gpuready.adapters.demo import answers
from gpuready.adapters.demo.store import Json, Key, Store, key_of, now
from gpuready.model.names import AGENT, RESOURCE

TICK = 0.05  # seconds between two looks at the store
STARTS, RUNS = 0.3, 0.4  # seconds from bound to running, and from there to the end of what ends by itself
ENDS = ("look", "compute", "runtime", "cuda-vectoradd", "device-plugin-validator")  # containers that end by themselves
NO_DEVICE = (
    "Allocate failed due to requested number of devices unavailable for nvidia.com/gpu. "
    "Requested: 1, Available: 0, which is unexpected"
)
NO_HANDLER = (
    'Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox runtime: no runtime for "{}" '
    "is configured"
)


class Kubelets:
    """Brings what is in the store forward, in a thread of its own. `handlers`: those that each node's runtime has."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.handlers: dict[str, set[str]] = {}
        self._since: dict[tuple[str, str], float] = {}  # (uid, state) -> when it was first seen in it
        self._stop = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(TICK):
            with self.store.changed:
                self._daemonsets()
                for pod in self.store.find("pods"):
                    self._pod(pod)
                self._offer()

    # -- controllers

    def _daemonsets(self) -> None:
        for ds in self.store.find("daemonsets"):
            template, meta = ds["spec"]["template"], ds["metadata"]
            chosen = [n for n in self.store.find("nodes") if _selects(template["spec"].get("nodeSelector"), n)]
            for node in chosen:
                name = f"{meta['name']}-{suffix(node['metadata']['name'])}"
                pod = {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        **template["metadata"],
                        "name": name,
                        "namespace": meta["namespace"],
                        "ownerReferences": [owner(ds)],
                    },
                    "spec": {**template["spec"], "nodeName": node["metadata"]["name"]},
                }
                if not self.store.has(key_of(pod)):
                    self.store.create(pod, "kube-controller-manager")
            own = [p for p in self.store.find("pods", meta["namespace"]) if is_of(p, meta["name"])]
            counts = {"desiredNumberScheduled": len(chosen), "numberReady": sum(map(is_ready, own))}
            self.store.change(key_of(ds), lambda o, c=counts: o.setdefault("status", {}).update(c))  # type: ignore[misc]

    def _pod(self, pod: Json) -> None:
        spec, status = pod["spec"], pod["status"]
        node = spec.get("nodeName", "")
        if not node:
            self._schedule(pod)
        elif status["phase"] == "Pending" and self._for(pod, "bound") >= STARTS:
            self._start(pod)
        elif status["phase"] == "Running" and self._for(pod, "running") >= RUNS:
            self._end(pod)
        elif status["phase"] == "Failed" and self.free(node) >= asks(pod):
            self._again(pod)

    def _for(self, pod: Json, state: str) -> float:
        at = time.monotonic()
        return at - self._since.setdefault((pod["metadata"]["uid"], state), at)

    def _schedule(self, pod: Json) -> None:
        meant = _affinity(pod) or [n["metadata"]["name"] for n in self.store.find("nodes")]
        fit = [n for n in meant if self.free(n) >= asks(pod)]
        why = "" if fit else f"0/2 nodes are available: {len(meant)} Insufficient {RESOURCE}."

        def bind(live: Json) -> None:
            status = live.setdefault("status", {})
            status["phase"] = "Pending"
            set_condition(status, "PodScheduled", bool(fit), *(() if fit else ("Unschedulable", why)))
            if fit:
                live["spec"]["nodeName"] = fit[0]

        self.store.change(key_of(pod), bind)

    # -- kubelets

    def _start(self, pod: Json) -> None:
        node, handler = pod["spec"]["nodeName"], pod["spec"].get("runtimeClassName")
        if asks(pod) and self.free(node, ("Running",)) < asks(pod):
            self.warn(pod, "UnexpectedAdmissionError", NO_DEVICE)
            message = f"Pod was rejected: {NO_DEVICE}"
            end = {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": message, "startTime": now()}
        elif handler and handler not in self.handlers[node]:
            self.warn(pod, "FailedCreatePodSandBox", NO_HANDLER.format(handler))
            end = running(pod, "Pending", {"waiting": {"reason": "ContainerCreating"}})
        else:
            end = running(pod, "Running", {"running": {"startedAt": now()}})
        self.store.change(key_of(pod), lambda o: o.update(status=end))
        for flag in pod["spec"]["containers"][0].get("args", ()) if end["phase"] == "Running" else ():
            if flag.startswith("--handler="):  # of the pod that writes the entry into the runtime's configuration
                self.handlers[node].add(flag.partition("=")[2])

    def _end(self, pod: Json) -> None:
        if not any(c["name"] in ENDS for c in pod["spec"]["containers"]):
            return
        done = {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": now(), "finishedAt": now()}}

        def end(live: Json) -> None:
            status = live["status"]
            for one in status["containerStatuses"]:
                if one["name"] in ENDS and "running" in one["state"]:
                    one.update(state=done, ready=False, started=False)
            over = all("terminated" in one["state"] for one in status["containerStatuses"])
            status["phase"] = "Succeeded" if over else "Running"
            for kind in ("ContainersReady", "Ready"):
                set_condition(status, kind, False, "PodCompleted" if over else "ContainersNotReady", "")

        self.store.change(key_of(pod), end)

    def _again(self, pod: Json) -> None:
        """A kubelet does not try again; whoever has the checks run after a boot deletes the pod and creates another."""
        self.store.delete(key_of(pod))
        meta = {k: pod["metadata"][k] for k in ("name", "namespace", "labels")}
        self.store.create({**pod, "metadata": meta}, "kubectl")

    def _offer(self) -> None:
        """Capacity follows the device plugin, which is the agent."""
        serving = {p["spec"]["nodeName"] for p in self.store.find("pods") if is_ready(p) and is_agent(p)}
        for node in self.store.find("nodes"):
            if node["metadata"]["name"] in serving:

                def offer(live: Json) -> None:
                    live["status"]["capacity"][RESOURCE] = live["status"]["allocatable"][RESOURCE] = "1"

                self.store.change(key_of(node), offer)

    def free(self, node: str, counted: tuple[str, ...] = ("Pending", "Running")) -> int:
        """As the scheduler counts, who counts what is bound; a kubelet counts what it has admitted."""
        live = self.store.get(Key("api/v1", "nodes", "", node))
        return int(live["status"]["allocatable"].get(RESOURCE, "0")) - sum(map(asks, self.holders(node, counted)))

    def holders(self, node: str, phases: tuple[str, ...] = ("Running",)) -> list[Json]:
        pods = [p for p in self.store.find("pods") if p["spec"].get("nodeName") == node and asks(p)]
        return [p for p in pods if p["status"]["phase"] in phases]

    def warn(self, about: Json, reason: str, message: str) -> None:
        """A warning of the kubelet; said again it is counted."""
        meta = about["metadata"]
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{suffix(reason)}", "namespace": meta["namespace"]},
            "involvedObject": {k: meta[k] for k in ("namespace", "name", "uid")} | {"kind": "Pod", "apiVersion": "v1"},
            "type": "Warning",
            "reason": reason,
            "message": message,
            "source": {"component": "kubelet", "host": about["spec"]["nodeName"]},
            "reportingComponent": "kubelet",
            "count": 1,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
        }
        if not self.store.has(key_of(event)):
            self.store.create(event, "kubelet")

    def page(self, pod: Json, path: str) -> Json:
        return answers.page(pod, path, self.holders(pod["spec"]["nodeName"]))


def suffix(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:5]


def _selects(selector: Mapping[str, str] | None, node: Json) -> bool:
    labels: Mapping[str, str] = node["metadata"]["labels"]
    return (selector or {}).items() <= labels.items()


def owner(obj: Json) -> Json:
    meta = obj["metadata"]
    one = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": meta["name"], "uid": meta["uid"]}
    return {**one, "controller": True, "blockOwnerDeletion": True}


def is_of(pod: Json, daemonset: str) -> bool:
    return any(o["name"] == daemonset for o in pod["metadata"].get("ownerReferences", ()))


def is_agent(pod: Json) -> bool:
    return bool(pod["metadata"].get("labels", {}).get("app.kubernetes.io/name") == AGENT)


def is_ready(pod: Json) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def asks(pod: Json) -> int:
    limits = [c.get("resources", {}).get("limits", {}) for c in pod["spec"]["containers"]]
    return sum(int(one.get(RESOURCE, "0")) for one in limits)


def _affinity(pod: Json) -> list[str]:
    """The nodes that a probe names."""
    node: Any = pod["spec"].get("affinity", {}).get("nodeAffinity", {})
    terms = node.get("requiredDuringSchedulingIgnoredDuringExecution", {}).get("nodeSelectorTerms", ())
    return [value for term in terms for field in term["matchFields"] for value in field["values"]]


def set_condition(status: Json, kind: str, true: bool, reason: str = "", message: str = "") -> None:
    told = {k: v for k, v in (("reason", reason), ("message", message)) if v}
    found = {"type": kind, "status": "True" if true else "False", "lastTransitionTime": now(), **told}
    same: Json = next((c for c in status.get("conditions", ()) if c["type"] == kind), {})
    if {**same, "lastTransitionTime": ""} != {**found, "lastTransitionTime": ""}:
        status["conditions"] = [*(c for c in status.get("conditions", ()) if c["type"] != kind), found]


def running(pod: Json, phase: str, state: Json) -> Json:
    """A pod's status with all its containers in one state."""
    ready = phase == "Running"
    status: Json = {"phase": phase, "conditions": list(pod["status"].get("conditions", ()))}
    for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready"):
        set_condition(status, kind, ready or kind in ("PodScheduled", "Initialized"))
    return {**status, "containerStatuses": list(_statuses(pod, state, ready))}


def _statuses(pod: Json, state: Json, ready: bool) -> Iterator[Json]:
    for container in pod["spec"]["containers"]:
        yield {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "state": state,
            "lastState": {},
            "ready": ready,
            "started": ready,
            "restartCount": 0,
        }
