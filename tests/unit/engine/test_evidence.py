"""What a diagnosis rests on: statements of the API's objects, and the logs of the pods that these make suspect."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gpuready.engine.evidence import MOST_LOGS, TAIL, read_evidence
from gpuready.model.errors import Forbidden, NotFound
from gpuready.model.facts.cluster import Identity
from gpuready.model.facts.said import Line
from gpuready.model.unknown import Unknown

Json = dict[str, Any]
GPU = {"limits": {"nvidia.com/gpu": "1"}}


class Api:
    """Answers of an API server, and its pods' logs by (pod, container, previous)."""

    def __init__(self, lists: Mapping[str, list[Json]], logs: Mapping[tuple[str, str, bool], str | Exception]) -> None:
        self.lists, self.kept, self.read = lists, logs, []

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        if path not in self.lists:
            raise NotFound(f"{path} is not there")
        yield json.dumps({"items": self.lists[path]}).encode()

    def logs(self, namespace: str, pod: str, *, container: str = "", previous: bool = False, tail: int = 0) -> str:
        assert tail == TAIL
        self.read.append((pod, container, previous))
        found = self.kept.get((pod, container, previous), NotFound("no such log"))
        if isinstance(found, Exception):
            raise found
        return found


def pod(name: str, *containers: tuple[str, Json, Json], status: Json | None = None, node: str = "gpu-1") -> Json:
    """`containers`: name, fields of its spec, its status."""
    return {
        "metadata": {"name": name, "namespace": "ml", "uid": name},
        "spec": {"nodeName": node, "containers": [{"name": n, **spec} for n, spec, _ in containers]},
        "status": {
            "phase": "Running",
            "containerStatuses": [{"name": n, **told} for n, _, told in containers],
            **(status or {}),
        },
    }


RUNS = {"ready": True, "state": {"running": {}}}
CRASHED = {
    "restartCount": 3,
    "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
    "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": "no NVML"}},
}


def said(api: Api) -> tuple[list[tuple[str, str, str]], tuple[Unknown, ...]]:
    """(who, where, text) of each line, and what could not be read."""
    found = read_evidence(api, Identity(uid="u", server="s"))["said"]
    return [(line.who, line.where, line.text) for line in found.lines], found.missing


def lists(pods: list[Json], events: list[Json] | None = None, nodes: list[Json] | None = None) -> dict[str, list[Json]]:
    return {"/api/v1/pods": pods, "/api/v1/events": events or [], "/api/v1/nodes": nodes or []}


def test_a_healthy_cluster_says_nothing_and_no_log_is_read() -> None:
    done = pod(
        "done", ("main", {"resources": GPU}, {"state": {"terminated": {"exitCode": 0}}}), status={"phase": "Succeeded"}
    )
    api = Api(lists([pod("nvidia-device-plugin", ("main", {}, RUNS)), done]), {})
    assert said(api) == ([], ())
    assert api.read == []


def test_objects_speak_for_their_components() -> None:
    event = {
        "metadata": {},
        "involvedObject": {"kind": "Pod", "namespace": "ml", "name": "a"},
        "reason": "FailedCreatePodSandBox",
        "message": "no runtime",
        "source": {"component": "kubelet", "host": "gpu-1"},
        "lastTimestamp": "2026-11-23T09:00:00Z",
    }
    condition = {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}
    gave_way = {"reason": "PreemptionByScheduler", "message": "preempting to accommodate a higher priority pod"}
    disrupted = {"type": "DisruptionTarget", "status": "True", **gave_way}
    refused = {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no devices"}
    node = {
        "metadata": {"name": "gpu-1", "uid": "n"},
        "status": {
            "conditions": [{"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "down"}]
        },
    }
    pods = [
        pod("a", ("main", {"resources": GPU}, RUNS), status={"phase": "Pending", "conditions": [condition]}, node=""),
        pod("b", ("main", {"resources": GPU}, {}), status=refused),
        pod("c", ("main", {"resources": GPU}, {}), status={"phase": "Failed", "conditions": [disrupted]}),
    ]
    assert said(Api(lists(pods, [event], [node]), {})) == (
        [
            ("kubelet", "event of pod/ml/a", "no runtime"),
            ("scheduler", "condition PodScheduled of pod/ml/a", "0/1 nodes are available"),
            ("kubelet", "status of pod/ml/b", "UnexpectedAdmissionError: no devices"),
            ("scheduler", "condition DisruptionTarget of pod/ml/c", ": ".join(gave_way.values())),
            ("kubelet", "Ready of node/gpu-1", "KubeletNotReady: down"),
        ],
        (),
    )


def event(kind: str, name: str, message: str) -> Json:
    namespace = {} if kind == "Node" else {"namespace": "ml"}
    return {"metadata": {}, "involvedObject": {"kind": kind, "name": name, **namespace}, "message": message}


def test_what_does_not_concern_gpus_is_not_our_patient() -> None:
    events = [
        event("Pod", "web", "no such image"),
        event("Pod", "train", "no runtime"),
        event("Pod", "nvidia-driver-daemonset-gone", "no headers"),  # another one came in its place
        event("Pod", "nvidia-dcgm-exporter-gone", "no such image"),  # nothing of its kind is left
        event("Pod", "web-gone", "no such image"),
        event("Job", "work", "exceeded quota: requests.nvidia.com/gpu=9"),
        event("DaemonSet", "nvidia-device-plugin-daemonset", "denied"),
        event("Node", "gpu-1", "disk full"),
        event("Node", "web-1", "disk full"),
    ]
    events += [event("Pod", "by-class", "no handler"), event("Pod", "by-env", "no hook")]
    by_class = pod("by-class", ("main", {}, {}))
    by_class["spec"]["runtimeClassName"] = "nvidia"
    by_env = pod("by-env", ("main", {"env": [{"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"}]}, {}))
    train = pod("train", ("main", {"resources": GPU}, {}))
    successor = pod("nvidia-driver-daemonset-new", ("main", {}, {}))
    pods = [pod("web", ("main", {}, RUNS), node="web-1"), train, by_class, by_env, successor]
    assert [text for _, _, text in said(Api(lists(pods, events), {}))[0]] == [
        "no runtime",
        "no headers",
        "exceeded quota: requests.nvidia.com/gpu=9",
        "denied",
        "disk full",
        "no handler",
        "no hook",
    ]


def test_what_was_said_of_a_pod_that_is_well_by_now_is_past() -> None:
    events = [event("Pod", "train", "0/1 nodes are available"), event("Pod", "next", "0/1 nodes are available")]
    pods = [pod("train", ("main", {"resources": GPU}, RUNS)), pod("next", ("main", {"resources": GPU}, {}))]
    assert [where for _, where, _ in said(Api(lists(pods, events), {}))[0]] == ["event of pod/ml/next"]


def test_the_logs_of_a_failing_component_are_read_now_and_before_and_each_sentence_once() -> None:
    api = Api(
        lists([pod("nvidia-x", ("nvidia-driver-ctr", {}, CRASHED))]),
        {
            ("nvidia-x", "nvidia-driver-ctr", False): "starting\n",
            ("nvidia-x", "nvidia-driver-ctr", True): "no headers\nno headers\n[  1.0] NVRM: x\npassword: hunter22\n",
        },
    )
    log = "log of pod/ml/nvidia-x, container nvidia-driver-ctr"
    assert said(api) == (
        [
            ("kubelet", "container nvidia-driver-ctr of pod/ml/nvidia-x", "CrashLoopBackOff: back-off 40s"),
            ("driver", "last end of container nvidia-driver-ctr of pod/ml/nvidia-x", "Error 1: no NVML"),
            ("driver", log, "starting"),
            ("driver", f"{log} (previous)", "no headers"),
            ("kernel", f"{log} (previous)", "NVRM: x"),
            ("driver", f"{log} (previous)", "password: [hidden]"),
        ],
        (),
    )


def test_other_peoples_pods_are_not_read_unless_they_want_gpus() -> None:
    api = Api(lists([pod("web", ("main", {}, CRASHED)), pod("train", ("main", {"resources": GPU}, CRASHED))]), {})
    said(api)
    assert api.read == [("train", "main", False), ("train", "main", True)]


def test_a_log_that_may_not_be_read_is_missing() -> None:
    refused = Forbidden("reading logs is forbidden", "gpuready rbac doctor")
    api = Api(
        lists([pod("train", ("main", {"resources": GPU}, CRASHED))]),
        {("train", "main", False): refused, ("train", "main", True): ""},
    )
    assert said(api)[1] == (
        Unknown("the log of pod/ml/train, container main: reading logs is forbidden", "gpuready rbac doctor"),
    )


def test_events_that_may_not_be_listed_are_missing() -> None:
    known = lists([])
    del known["/api/v1/events"]
    assert said(Api(known, {}))[1] == (Unknown("/api/v1/events is not there"),)


def test_there_is_an_end_to_reading_logs() -> None:
    pods = [pod(f"train-{n}", ("main", {"resources": GPU}, {"state": {"running": {}}})) for n in range(MOST_LOGS + 2)]
    api = Api(lists(pods), {})
    assert said(api)[1] == (Unknown("2 more logs of failing pods were not read", "gpuready why pod/NAME"),)
    assert len(api.read) == MOST_LOGS


def test_a_line_knows_its_pod_and_node() -> None:
    api = Api(
        lists([pod("train", ("main", {"resources": GPU}, {"state": {"running": {}}}))]), {("train", "main", False): "x"}
    )
    (line,) = read_evidence(api, Identity(uid="u", server="s"))["said"].lines
    assert line == Line(
        text="x",
        source="log",
        who="workload",
        about="pod/ml/train",
        node="gpu-1",
        where="log of pod/ml/train, container main",
    )


def test_the_operator_speaks_in_the_conditions_of_its_object() -> None:
    told = [
        {"type": "Ready", "status": "True", "reason": "NFDLabelsMissing", "message": "No NFD labels found"},
        {"type": "Error", "status": "False", "reason": "Ready", "message": ""},
    ]
    group, version = "/apis/nvidia.com", "/apis/nvidia.com/v1"
    policy = {"metadata": {"name": "cluster-policy"}, "spec": {}, "status": {"state": "ready", "conditions": told}}
    api = Api({**lists([]), f"{version}/clusterpolicies": [policy]}, {})
    pages = api.pages

    def served(path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        documents = {group: {"versions": [{"version": "v1"}]}, version: {"resources": [{"name": "clusterpolicies"}]}}
        return iter([json.dumps(documents[path]).encode()]) if path in documents else pages(path, params)

    api.pages = served  # type: ignore[method-assign]
    where = "condition Ready of clusterpolicy/cluster-policy"
    assert said(api) == ([("operator", where, "NFDLabelsMissing: No NFD labels found")], ())


def test_what_was_said_of_a_pod_that_is_gone_is_past() -> None:
    event = {"reason": "FailedScheduling", "message": "Insufficient nvidia.com/gpu", "reportingComponent": "scheduler"}
    of = [{"kind": "Pod", "namespace": "ml", "name": name} for name in ("gone", "train")]
    waits = pod("train", ("main", {"resources": GPU}, {}), status={"phase": "Pending"}, node="")
    api = Api(lists([waits], events=[{**event, "involvedObject": one} for one in of]), {})
    assert [where for _, where, _ in said(api)[0]] == ["event of pod/ml/train"]


def test_what_a_daemonset_was_refused_is_past_once_all_its_pods_are_ready() -> None:
    of = {"kind": "DaemonSet", "namespace": "gpu", "name": "nvidia-device-plugin"}
    refused = {"involvedObject": of, "message": "violates PodSecurity", "reportingComponent": "daemonset-controller"}
    daemonset = {"metadata": {"name": "nvidia-device-plugin", "namespace": "gpu"}}
    for ready, told in ((1, []), (0, ["violates PodSecurity"])):
        behind = {**daemonset, "status": {"desiredNumberScheduled": 1, "numberReady": ready}}
        api = Api({**lists([], events=[refused]), "/apis/apps/v1/daemonsets": [behind]}, {})
        assert [text for _, _, text in said(api)[0]] == told
