"""Collectors: what the API answers, page by page, becomes exactly these facts."""

from __future__ import annotations

from typing import Any

import pytest
from collectors_double import BY_FIELD, Answers, fact, items

from gpuready.engine.gather import collect
from gpuready.model.facts.cluster import (
    Condition,
    ContainerUse,
    DaemonSet,
    Event,
    Namespace,
    Node,
    Placement,
    Pod,
    PodToleration,
    Requirement,
    StackObject,
    Taint,
)
from gpuready.model.unknown import Unknown

NODE = {
    "metadata": {
        "name": "gpu-1",
        "uid": "u1",
        "labels": {"kubernetes.io/os": "linux", "nvidia.com/gpu.product": "T4"},
        "annotations": {"node.alpha.kubernetes.io/ttl": "0"},
        "managedFields": [
            {
                "manager": "kubelet",
                "operation": "Update",
                "fieldsV1": {"f:metadata": {"f:labels": {".": {}, "f:kubernetes.io/os": {}}}},
            },
            {"manager": "kubectl-label", "fieldsV1": {"f:metadata": {"f:labels": {"f:nvidia.com/gpu.product": {}}}}},
            {"manager": "nfd-master", "fieldsV1": {"f:metadata": {"f:labels": {"f:nvidia.com/gpu.product": {}}}}},
            {"manager": "kubelet", "subresource": "status", "fieldsV1": {"f:status": {"f:images": {}}}},
            {"manager": "cloud", "subresource": "status", "fieldsV1": {"f:status": {"f:addresses": {}}}},
        ],
    },
    "spec": {
        "podCIDR": "10.244.0.0/24",
        "providerID": "vsphere://42",
        "unschedulable": True,
        "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule", "timeAdded": "2026-11-23T09:00:00Z"}],
    },
    "status": {
        "capacity": {
            "cpu": "8",
            "memory": "32Gi",
            "hugepages-2Mi": "0",
            "nvidia.com/gpu": "2",
            "example.com/many": "1k",
        },
        "allocatable": {"cpu": "7900m", "nvidia.com/gpu": "1"},
        "conditions": [
            {"type": "MemoryPressure", "status": "False"},
            {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"},
        ],
        "nodeInfo": {
            "kubeletVersion": "v1.34.4",
            "containerRuntimeVersion": "containerd://2.2.9",
            "operatingSystem": "linux",
            "architecture": "arm64",
            "osImage": "Debian GNU/Linux 12",
            "kernelVersion": "6.1.0-28-arm64",
        },
        "images": [{"names": ["a"], "sizeBytes": 1}],
    },
}
GPU_1 = Node(
    name="gpu-1",
    uid="u1",
    labels={"kubernetes.io/os": "linux", "nvidia.com/gpu.product": "T4"},
    annotations={"node.alpha.kubernetes.io/ttl": "0"},
    label_managers={"kubernetes.io/os": "kubelet", "nvidia.com/gpu.product": "kubectl-label,nfd-master"},
    managers=("kubectl-label", "kubelet", "nfd-master"),
    taints=(Taint(key="nvidia.com/gpu", effect="NoSchedule"),),
    unschedulable=True,
    ready=True,
    kubelet="v1.34.4",
    runtime="containerd://2.2.9",
    arch="arm64",
    os_image="Debian GNU/Linux 12",
    kernel="6.1.0-28-arm64",
    provider_id="vsphere://42",
    capacity={"nvidia.com/gpu": 2, "example.com/many": 1000},
    allocatable={"nvidia.com/gpu": 1},
)


def conditions(*listed: dict[str, str]) -> dict[str, Any]:
    return {"metadata": {"name": "n", "uid": "u"}, "status": {"conditions": list(listed)}}


@pytest.mark.parametrize(
    ("listed", "ready", "reason"),
    [
        (
            [{"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": "runtime is down"}],
            False,
            "KubeletNotReady: runtime is down",
        ),
        ([{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}], False, "NodeStatusUnknown"),
        ([{"type": "Ready", "status": "True", "reason": "KubeletReady"}], True, ""),
        ([], Unknown("the node reports no Ready condition"), ""),
    ],
)
def test_a_silent_kubelet_is_not_ready_and_no_condition_is_not_known(
    listed: list[dict[str, str]], ready: bool | Unknown, reason: str
) -> None:
    nodes = fact("nodes", {"/api/v1/nodes": items(conditions(*listed))})
    assert nodes == (Node(name="n", uid="u", ready=ready, ready_reason=reason),)


def test_nodes_of_all_pages_are_there_whole() -> None:
    bare = {"metadata": {"name": "n2", "uid": "u2"}, "spec": {}}
    answers = Answers({"/api/v1/nodes": [items(NODE), items(bare)]})
    assert collect(answers, BY_FIELD["nodes"]) == (GPU_1, Node(name="n2", uid="u2"))
    assert answers.asked == [("/api/v1/nodes", {"limit": "500"})]


POD = {
    "metadata": {
        "name": "train-0",
        "namespace": "ml",
        "uid": "u1",
        "labels": {"app": "train"},
        "creationTimestamp": "2026-11-23T09:00:00Z",
        "deletionTimestamp": "2026-11-23T09:10:00Z",
        "ownerReferences": [
            {"kind": "Other", "name": "x"},
            {"kind": "StatefulSet", "name": "train", "controller": True},
        ],
    },
    "spec": {
        "nodeName": "gpu-1",
        "runtimeClassName": "nvidia",
        "resourceClaims": [{"name": "gpu"}],
        "volumes": [
            {"name": "a", "emptyDir": {}},
            {"name": "b", "hostPath": {"path": "/var/lib/kubelet/device-plugins/"}},
        ],
        "initContainers": [{"name": "warm", "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
        "containers": [
            {
                "name": "main",
                "image": "ml/train:7",
                "env": [
                    {"name": "PASSWORD", "value": "hunter2"},
                    {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                    {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
                ],
                "resources": {
                    "requests": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": "2"},
                    "limits": {"nvidia.com/gpu": "2", "ephemeral-storage": "1Gi"},
                },
            },
            {"name": "istio-proxy", "image": "istio/proxyv2"},
        ],
        "restartPolicy": "OnFailure",
    },
    "status": {
        "phase": "Running",
        "message": "the node was low on memory",
        "conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"},
            {"type": "Initialized", "status": "False", "lastTransitionTime": "2026-11-23T08:00:00Z"},
            {"type": "Ready", "status": "False", "lastTransitionTime": "2026-11-23T09:00:00Z"},
        ],
        "initContainerStatuses": [{"name": "warm", "ready": True, "state": {"terminated": {"exitCode": 0}}}],
        "containerStatuses": [
            {"name": "istio-proxy", "ready": True, "state": {"running": {"startedAt": "2026-11-23T09:00:00Z"}}},
            {
                "name": "main",
                "ready": False,
                "restartCount": 2,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 40s"}},
                "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled", "message": "last words\n"}},
            },
        ],
    },
}
TRAIN_0 = Pod(
    namespace="ml",
    name="train-0",
    uid="u1",
    node="gpu-1",
    phase="Running",
    owner="sts/train",
    labels={"app": "train"},
    runtime_class="nvidia",
    terminating=True,
    device_plugin_dir=True,
    claims=1,
    containers=(
        ContainerUse(name="warm", requests={"nvidia.com/gpu": 1}, state="terminated:0", ready=True, init=True),
        ContainerUse(
            name="main",
            image="ml/train:7",
            requests={"nvidia.com/gpu": 2},
            visible_devices="all",
            state="waiting:CrashLoopBackOff",
            message="back-off 40s",
            last="OOMKilled 137: last words",
            restarts=2,
        ),
        ContainerUse(name="istio-proxy", image="istio/proxyv2", state="running", ready=True),
    ),
    not_ready_since="2026-11-23T09:00:00Z",
    message="the node was low on memory",
    unscheduled="0/1 nodes are available",
    restart_policy="OnFailure",
)


def test_a_pod_is_read_narrowly() -> None:
    waiting = {"metadata": {"name": "p", "namespace": "d", "uid": "u2"}, "spec": {"containers": [{"name": "c"}]}}
    pods = fact("pods", {"/api/v1/pods": [items(POD), items(waiting)]})
    assert pods == (
        TRAIN_0,
        Pod(namespace="d", name="p", uid="u2", containers=(ContainerUse(name="c"),), placement=Placement()),
    )


def test_no_value_of_the_environment_is_kept_but_the_devices() -> None:
    assert "hunter2" not in repr(fact("pods", {"/api/v1/pods": items(POD)}))


@pytest.mark.parametrize(
    ("path", "serves"),
    [
        ("/var/lib/kubelet/device-plugins", True),
        ("/var/lib/kubelet/device-plugins/kubelet.sock", True),
        ("/var/snap/microk8s/common/var/lib/kubelet/device-plugins", True),
        ("/var/lib/k0s/kubelet/device-plugins/", True),
        ("/var/lib/kubelet", False),
        ("/", False),
        ("/var/lib/kubelet/device-plugins-old", False),
        ("", False),
    ],
)
def test_the_plugin_directory_is_known_also_where_the_kubelet_lies_elsewhere(path: str, serves: bool) -> None:
    pod = {
        "metadata": {"name": "p", "namespace": "d"},
        "spec": {"volumes": [{"name": "v", "hostPath": {"path": path}}]},
    }
    assert [p.device_plugin_dir for p in fact("pods", {"/api/v1/pods": items(pod)})] == [serves]


def test_a_daemonset_tells_what_it_serves_and_by_what_it_chooses_nodes() -> None:
    daemonset = {
        "metadata": {"name": "plugin", "namespace": "gpu", "uid": "u1", "labels": {"app": "plugin"}},
        "spec": {
            "template": {
                "spec": {
                    "initContainers": [{"image": "init:1", "command": ["sh", "-c"]}],
                    "containers": [{"image": "plugin:1", "args": ["--resource=nvidia.com/gpu"]}],
                    "volumes": [{"hostPath": {"path": "/var/lib/kubelet/device-plugins"}}],
                    "nodeSelector": {"pool": "gpu"},
                    "runtimeClassName": "nvidia",
                    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
                    "affinity": {
                        "nodeAffinity": {
                            "requiredDuringSchedulingIgnoredDuringExecution": {
                                "nodeSelectorTerms": [
                                    {"matchExpressions": [{"key": "nvidia.com/gpu.present", "operator": "Exists"}]},
                                    {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["a"]}]},
                                ]
                            }
                        }
                    },
                }
            }
        },
        "status": {"desiredNumberScheduled": 2, "currentNumberScheduled": 1, "numberReady": 1, "numberMisscheduled": 1},
    }
    assert fact("daemonsets", {"/apis/apps/v1/daemonsets": items(daemonset)}) == (
        DaemonSet(
            namespace="gpu",
            name="plugin",
            uid="u1",
            images=("init:1", "plugin:1"),
            labels={"app": "plugin"},
            device_plugin_dir=True,
            args=("sh", "-c", "--resource=nvidia.com/gpu"),
            selects=("nvidia.com/gpu.present", "pool"),
            desired=2,
            ready=1,
            current=1,
            misscheduled=1,
            runtime_class="nvidia",
            placement=Placement(
                selector={"pool": "gpu"},
                terms=(
                    (Requirement(key="nvidia.com/gpu.present", operator="Exists"),),
                    (Requirement(key="metadata.name", operator="In", values=("a",)),),
                ),
                tolerations=(PodToleration(key="nvidia.com/gpu", operator="Exists", effect="NoSchedule"),),
            ),
        ),
    )


def group(*versions: str) -> dict[str, Any]:
    return {"kind": "APIGroup", "versions": [{"groupVersion": f"g/{v}", "version": v} for v in versions]}


def resources(*names: str) -> dict[str, Any]:
    return {"kind": "APIResourceList", "resources": [{"name": name, "namespaced": False} for name in names]}


def test_each_kind_of_the_operator_is_listed_in_the_version_that_serves_it() -> None:
    answers = Answers(
        {
            "/apis/nvidia.com": group("v1", "v1alpha1"),
            "/apis/nvidia.com/v1": resources("clusterpolicies", "clusterpolicies/status"),
            "/apis/nvidia.com/v1alpha1": resources("nvidiadrivers"),
            "/apis/nvidia.com/v1/clusterpolicies": items(
                {
                    "metadata": {"name": "cluster-policy", "labels": {"helm.sh/chart": "gpu-operator-v25.3.4"}},
                    "spec": {"toolkit": {"enabled": True}, "driver": {}},
                    "status": {
                        "state": "notReady",
                        "conditions": [{"type": "Ready", "status": "False", "reason": "OperandNotReady", "x": 1}],
                    },
                }
            ),
            "/apis/nvidia.com/v1alpha1/nvidiadrivers": items({"metadata": {"name": "default"}}),
        }
    )
    assert collect(answers, BY_FIELD["stacks"]) == (
        StackObject(
            kind="ClusterPolicy",
            name="cluster-policy",
            detail="state notReady",
            state="notReady",
            conditions=(Condition(type="Ready", status="False", reason="OperandNotReady"),),
            fields=("driver", "toolkit"),
            version="v25.3.4",
        ),
        StackObject(kind="NVIDIADriver", name="default"),
    )
    assert ("/apis/nvidia.com/v1/clusterpolicies", {"limit": "500"}) in answers.asked


def test_only_nvidias_dra_objects_count() -> None:
    cel = {
        "cel": {"expression": "device.driver == 'gpu.nvidia.com' && device.attributes['gpu.nvidia.com'].type == 'gpu'"}
    }
    table = {
        "/apis/resource.k8s.io": group("v1", "v1beta1"),
        "/apis/resource.k8s.io/v1": resources("deviceclasses", "resourceslices"),
        "/apis/resource.k8s.io/v1/deviceclasses": items(
            {
                "metadata": {"name": "gpu.nvidia.com"},
                "spec": {"selectors": [cel], "extendedResourceName": "nvidia.com/gpu"},
            },
            {
                "metadata": {"name": "compute-domain-daemon.nvidia.com"},
                "spec": {"selectors": [{"cel": {"expression": "device.driver == 'compute-domain.nvidia.com'"}}]},
            },
            {"metadata": {"name": "nic.example.com"}, "spec": {}},
        ),
        "/apis/resource.k8s.io/v1/resourceslices": items(
            {
                "metadata": {"name": "gpu-1-x"},
                "spec": {"driver": "gpu.nvidia.com", "nodeName": "gpu-1", "pool": {"name": "gpu-1"}, "devices": [{}]},
            },
            {"metadata": {"name": "gpu-1-y"}, "spec": {"driver": "compute-domain.nvidia.com", "nodeName": "gpu-1"}},
        ),
    }
    assert fact("dra", table) == (
        StackObject(kind="DeviceClass", name="gpu.nvidia.com", detail="serves nvidia.com/gpu"),
        StackObject(kind="ResourceSlice", name="gpu-1-x", detail="pool gpu-1", node="gpu-1"),
    )


def test_our_namespace_with_what_keeps_it_from_going() -> None:
    namespace = {
        "metadata": {
            "name": "gpuready-system",
            "labels": {"a": "b"},
            "annotations": {"c": "d"},
            "managedFields": [{"manager": "kubectl-create"}, {"manager": "gpuready"}],
        },
        "status": {
            "phase": "Terminating",
            "conditions": [
                {"type": "NamespaceDeletionDiscoveryFailure", "status": "False", "message": "All resources discovered"},
                {"type": "NamespaceFinalizersRemaining", "status": "True", "message": "Some content has finalizers"},
            ],
        },
    }
    assert fact("own_namespace", {"/api/v1/namespaces/gpuready-system": namespace}) == Namespace(
        name="gpuready-system",
        phase="Terminating",
        labels={"a": "b"},
        annotations={"c": "d"},
        managers=("gpuready", "kubectl-create"),
        blocked=("Some content has finalizers",),
    )


def event(kind: str, name: str, **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": "e"}, "involvedObject": {"kind": kind, "name": name, **more.pop("of", {})}, **more}


def test_warnings_are_read_with_who_gave_them_and_when_last() -> None:
    old = event(
        "Pod",
        "a",
        of={"namespace": "ml"},
        reason="Failed",
        message="no runtime",
        source={"component": "kubelet", "host": "gpu-1"},
        count=3,
        lastTimestamp="2026-11-23T09:00:00Z",
        eventTime=None,
    )
    new = event(
        "Node",
        "gpu-1",
        reason="InvalidDiskCapacity",
        message="x" * 5000,
        reportingComponent="kubelet",
        lastTimestamp=None,
        eventTime="2026-11-23T08:00:00.000000Z",
        series={"count": 7, "lastObservedTime": "2026-11-23T10:00:00.000000Z"},
    )
    reader = Answers({"/api/v1/events": [items(old), items(new)]})
    assert collect(reader, BY_FIELD["events"]) == (
        Event(
            about="pod/ml/a",
            reason="Failed",
            message="no runtime",
            component="kubelet",
            node="gpu-1",
            last="2026-11-23T09:00:00Z",
            count=3,
        ),
        Event(
            about="node/gpu-1",
            reason="InvalidDiskCapacity",
            message="x" * 4000,
            component="kubelet",
            node="gpu-1",
            last="2026-11-23T10:00:00.000000Z",
            count=7,
        ),
    )
    assert reader.asked == [("/api/v1/events", {"limit": "500", "fieldSelector": "type=Warning"})]


def test_a_node_names_the_handlers_of_its_running_runtime() -> None:
    """As kubelet 1.34 with containerd 2.2 writes them; the default one stands there a second time, without a name."""
    features = {"recursiveReadOnlyMounts": True, "userNamespaces": True}
    told = [{"features": features, "name": name} for name in ("runc", "", "nvidia")]
    node = {"metadata": {"name": "n", "uid": "u"}, "status": {"runtimeHandlers": told}}
    assert fact("nodes", {"/api/v1/nodes": items(node)}) == (Node(name="n", uid="u", handlers=("nvidia", "runc")),)
