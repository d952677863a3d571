"""Collectors that only the doctor asks: what the API answers becomes exactly these facts."""

from __future__ import annotations

from typing import Any

from collectors_double import BY_FIELD, Answers, fact, items

from gpuready.collectors.crds import NAMES, PATH
from gpuready.engine.gather import collect
from gpuready.engine.rights import GPU_CRDS
from gpuready.model.facts.cluster import (
    Condition,
    Crd,
    Event,
    Namespace,
    NodeFeature,
    Placement,
    Pod,
    PodToleration,
    Quota,
    Requirement,
    RuntimeClass,
)

GPU = "requests.nvidia.com/gpu"


def served(group: str, version: str, plural: str, *objects: Any) -> dict[str, Any]:
    return {
        f"/apis/{group}": {"versions": [{"version": version}]},
        f"/apis/{group}/{version}": {"resources": [{"name": plural}]},
        f"/apis/{group}/{version}/{plural}": items(*objects),
    }


def test_runtime_classes_name_a_handler() -> None:
    table = items({"metadata": {"name": "nvidia"}, "handler": "nvidia-cdi"})
    assert fact("runtime_classes", {"/apis/node.k8s.io/v1/runtimeclasses": table}) == (
        RuntimeClass(name="nvidia", handler="nvidia-cdi"),
    )


def test_only_quotas_on_gpus_are_kept_and_of_them_only_the_gpus() -> None:
    gpus = {
        "metadata": {"name": "team", "namespace": "ml"},
        "spec": {"hard": {GPU: "4", "cpu": "500m"}},
        "status": {"hard": {GPU: "4"}, "used": {GPU: "1k", "cpu": "100m"}},
    }
    others = {"metadata": {"name": "cpu", "namespace": "ml"}, "spec": {"hard": {"cpu": "500m"}}}
    assert fact("quotas", {"/api/v1/resourcequotas": items(gpus, others)}) == (
        Quota(namespace="ml", name="team", hard={GPU: 4}, used={GPU: 1000}),
    )


def test_of_a_namespace_pod_security_is_kept_and_what_keeps_it_from_going() -> None:
    going = {
        "metadata": {"name": "gpu-operator", "labels": {"team": "a"}},
        "status": {
            "phase": "Terminating",
            "conditions": [{"type": "NamespaceContentRemaining", "status": "True", "message": "pods. has 1 instance"}],
        },
    }
    strict = {"metadata": {"name": "ml", "labels": {"pod-security.kubernetes.io/enforce": "baseline", "team": "b"}}}
    assert fact("namespaces", {"/api/v1/namespaces": items(going, strict)}) == (
        Namespace(name="gpu-operator", phase="Terminating", blocked=("pods. has 1 instance",)),
        Namespace(name="ml", labels={"pod-security.kubernetes.io/enforce": "baseline"}),
    )


def test_a_crd_tells_which_fields_its_stored_version_knows() -> None:
    def version(name: str, *fields: str, **more: Any) -> dict[str, Any]:
        spec = {"type": "object", "properties": {field: {"type": "object"} for field in fields}}
        return {"name": name, "schema": {"openAPIV3Schema": {"properties": {"spec": spec}}}, **more}

    crd = {
        "metadata": {"name": "clusterpolicies.nvidia.com", "deletionTimestamp": "2026-11-23T09:00:00Z"},
        "spec": {
            "preserveUnknownFields": True,
            "versions": [
                version("v2", "x", served=True, storage=False),
                version("v1", "toolkit", "driver", served=True, storage=True),
                version("v0", "y", served=False),
            ],
        },
        "status": {
            "storedVersions": ["v1"],
            "conditions": [{"type": "Terminating", "status": "True", "reason": "InstanceDeletionPending"}],
        },
    }
    assert fact("crds", {f"{PATH}/clusterpolicies.nvidia.com": crd}) == (
        Crd(
            name="clusterpolicies.nvidia.com",
            served=("v2", "v1"),
            stored=("v1",),
            fields=("driver", "toolkit"),
            prunes=False,
            terminating=True,
            conditions=(Condition(type="Terminating", status="True", reason="InstanceDeletionPending"),),
        ),
    )


def test_each_crd_is_asked_for_by_its_name_and_the_right_is_no_wider() -> None:
    reader = Answers({})
    assert collect(reader, BY_FIELD["crds"]) == ()
    assert reader.asked == [(f"{PATH}/{name}", {}) for name in NAMES]
    assert GPU_CRDS == NAMES


def test_features_of_a_node_are_put_together() -> None:
    def feature(name: str, node: str, *labels: str) -> dict[str, Any]:
        meta = {"name": name, "labels": {"nfd.node.kubernetes.io/node-name": node} if node else {}}
        return {"metadata": meta, "spec": {"labels": dict.fromkeys(labels, "true")}}

    table = served(
        "nfd.k8s-sigs.io",
        "v1alpha1",
        "nodefeatures",
        feature("gpu-1", "gpu-1", "feature.node.kubernetes.io/pci-0302_10de.present"),
        feature("gfd-gpu-1", "gpu-1", "nvidia.com/gpu.count"),
        feature("cpu-1", "", "feature.node.kubernetes.io/pci-8086.present"),
        {"metadata": {"name": "cpu-2"}, "spec": {}},
    )
    assert fact("features", table) == (
        NodeFeature(node="cpu-1", nvidia=False),
        NodeFeature(node="cpu-2", nvidia=False),
        NodeFeature(node="gpu-1", nvidia=True),
    )


def test_a_cluster_without_nfd_has_no_features() -> None:
    assert fact("features", {}) == ()


def test_what_a_waiting_pod_asks_of_its_node_is_kept_and_what_keeps_a_going_one() -> None:
    term = {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["gpu"]}]}
    asks = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {
            "podAntiAffinity": {},
            "nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}},
        },
    }
    going = {"deletionTimestamp": "2026-11-23T09:00:00Z", "finalizers": ["batch.kubernetes.io/job-tracking"]}
    table = items(
        {"metadata": {"name": "waits", "finalizers": ["f"]}, "spec": asks},
        {"metadata": {"name": "runs", **going}, "spec": {**asks, "nodeName": "n"}},
    )
    assert fact("pods", {"/api/v1/pods": table}) == (
        Pod(
            namespace="",
            name="waits",
            uid="",
            placement=Placement(
                selector={"disk": "ssd"},
                terms=((Requirement(key="pool", operator="In", values=("gpu",)),),),
                tolerations=(PodToleration(operator="Exists"),),
            ),
        ),
        Pod(
            namespace="",
            name="runs",
            uid="",
            node="n",
            terminating=True,
            finalizers=("batch.kubernetes.io/job-tracking",),
        ),
    )


def test_a_limit_range_and_a_preemption_are_told_by_the_pod_itself() -> None:
    added = "LimitRanger plugin set: cpu request for container main; nvidia.com/gpu limit for container istio-proxy"
    gone = {"type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler", "message": "preempting"}
    table = items(
        {
            "metadata": {"name": "a", "annotations": {"kubernetes.io/limit-ranger": added, "token": "hunter2"}},
            "spec": {"priority": -10, "nodeName": "n"},
            "status": {"conditions": [gone]},
        },
        {"metadata": {"name": "b", "annotations": {"token": "hunter2"}}, "spec": {"nodeName": "n"}},
    )
    assert fact("pods", {"/api/v1/pods": table}) == (
        Pod(
            namespace="",
            name="a",
            uid="",
            node="n",
            priority=-10,
            disrupted="PreemptionByScheduler: preempting",
            gpus_by_limit_range=("istio-proxy",),
        ),
        Pod(namespace="", name="b", uid="", node="n"),
    )


def test_of_events_that_are_no_warnings_only_preemptions_are_kept() -> None:
    of = {"involvedObject": {"kind": "Pod", "namespace": "ml", "name": "a"}}
    table = items(
        {**of, "reason": "Preempted", "message": "Preempted by pod u-1 on node n", "reportingComponent": "s"},
        {**of, "reason": "Killing", "message": "Stopping container main"},
    )
    told = Event(about="pod/ml/a", reason="Preempted", message="Preempted by pod u-1 on node n", component="s")
    assert fact("preemptions", {"/api/v1/events": table}) == (told,)
