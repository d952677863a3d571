"""What the golden texts are made from: a first `up` on two nodes, refusals, a status and a verification."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gpuready.model.facts.agent import AgentReport, Gpu, Holder
from gpuready.model.facts.cluster import ContainerUse, Identity, Pod
from gpuready.model.plan import (
    Apply,
    Compensating,
    Delete,
    DryRun,
    FieldChange,
    Irreversible,
    Patch,
    Plan,
    Probe,
    Ref,
    Restore,
    Skipped,
    Stage,
    Step,
    Value,
)
from gpuready.model.rule import Finding, Verdict
from gpuready.model.unknown import Unknown
from gpuready.model.verdict import GpuVerdict

NOW = datetime(2026, 11, 23, 18, 30, tzinfo=UTC)
UID = "7c1e02aa-8f0b-4c2e-9d1a-0b6c5f1e2d3c"
PROD = Identity(uid=UID, server="https://10.0.0.5:6443", context="prod-eu", name="prod-eu", version="v1.34.4")
IMAGE = "registry.example:5000/gpuready@sha256:" + "4f2c1a90b7e3" + "0" * 52


def obj(kind: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}


def apply(kind: str, name: str, target: str, why: str, *changes: FieldChange, verb: str = "create") -> Step:
    action = Apply(obj(kind, name))
    changes = changes or (FieldChange(path=".metadata.labels[app.kubernetes.io/managed-by]", after="gpuready"),)
    return Step(id=f"{verb} {target}", verb=verb, target=target, action=action, why=why, changes=changes)


LOOK_PODS = {n: obj("Pod", f"gpuready-look-{n}") for n in ("gpu-1", "gpu-2")}
NAMESPACE = apply(
    "Namespace",
    "gpuready-system",
    "ns/gpuready-system",
    "for the privileged agent and short-lived probes",
    FieldChange(path=".metadata.labels[app.kubernetes.io/managed-by]", after="gpuready"),
    FieldChange(path=".metadata.labels[pod-security.kubernetes.io/enforce]", after="privileged"),
)
LOOK = Step(
    id="look",
    verb="look",
    target="2 nodes",
    action=Probe(kind="look", pods=LOOK_PODS),
    why="which have a GPU and a driver: gpu-1, gpu-2",
)
FIRST_STAGE = Plan(
    cluster_uid=UID,
    purpose="up",
    spec_digest="d",
    stages=(
        Stage(name="look", steps=(NAMESPACE, LOOK)),
        Stage(name="install", pending="needs the look at gpu-1, gpu-2"),
    ),
    values=(Value(path="image", value=IMAGE, origin="spec"),),
    skipped=(
        Skipped(target="node/cp-1", why="taint node-role.kubernetes.io/control-plane:NoSchedule is not tolerated"),
    ),
)

DS = "gpuready-agent-usr-local-nvidia-lib64-cdi"
LABEL = "gpuready.dev/agent"


def label(node: str, gpus: str) -> Step:
    return Step(
        id=f"label Node/{node}",
        verb="label",
        target=f"node/{node}",
        action=Patch(obj("Node", node)),
        why=f"{gpus} and no plugin",
        changes=(FieldChange(path=f".metadata.labels[{LABEL}]", after="usr-local-nvidia-lib64-cdi"),),
    )


POD = ".spec.template.spec"
INSTALL = (
    Step(
        id="check",
        verb="check",
        target="pod admission",
        action=DryRun(obj("Pod", "gpuready-agent-check")),
        why="Pod Security, policies, webhooks and quota must admit the agent",
    ),
    apply("ServiceAccount", "gpuready-agent", "sa/gpuready-agent", "identity of the agent"),
    apply(
        "ClusterRole", "gpuready-agent", "clusterrole/gpuready-agent", "the agent labels its node and reports health"
    ),
    apply("PriorityClass", "gpuready-probe", "priorityclass/gpuready-probe", "probes preempt nobody and add no nodes"),
    apply(
        "ValidatingAdmissionPolicyBinding",
        "gpuready-agent",
        "validatingadmissionpolicybinding/gpuready-agent",
        "confines the agent to its own node",
    ),
    apply(
        "DaemonSet",
        DS,
        f"ds/{DS}",
        "device plugin, labels, metrics, health",
        FieldChange(path=".metadata.labels[app.kubernetes.io/managed-by]", after="gpuready"),
        FieldChange(path=f"{POD}.nodeSelector[{LABEL}]", after="usr-local-nvidia-lib64-cdi"),
        FieldChange(path=f"{POD}.containers[agent].image", after=IMAGE),
        FieldChange(path=f"{POD}.containers[agent].args", after=["agent", "--injection=cdi", "--listen=:9400"]),
        FieldChange(path=f"{POD}.containers[agent].securityContext.privileged", after=True),
        FieldChange(path=f"{POD}.terminationGracePeriodSeconds", after=30),
    ),
)
PROOF = Step(
    id="compute on gpu-1",
    verb="compute",
    target="node/gpu-1",
    action=Probe(kind="compute", pods={"gpu-1": obj("Pod", "gpuready-compute-gpu-1")}),
    why="proves the first node before the others follow",
    interrupts="holds its 2 GPUs for seconds",
)
FIRST_UP = Plan(
    cluster_uid=UID,
    purpose="up",
    spec_digest="d",
    stages=(
        Stage(name="install", steps=INSTALL),
        Stage(name="first node", steps=(label("gpu-1", "2 GPUs"), PROOF)),
        Stage(name="other nodes", steps=(label("gpu-2", "1 GPU"),)),
    ),
    values=(
        Value(path="image", value=IMAGE, origin="spec"),
        Value(path="nodes", value="those with a GPU", origin="detected"),
        Value(path="metrics port", value="9400", origin="default"),
        *(
            Value(
                path=f"{what} of {node}",
                value=value,
                origin="detected",
                because=because,
            )
            for node in ("gpu-1", "gpu-2")
            for what, value, because in (
                ("driver", "/usr/local/nvidia/lib64", "libnvidia-ml.so.1, version 580.65.06, is there"),
                ("injection", "cdi", "containerd 2.2 has CDI on by default"),
            )
        ),
    ),
    skipped=(
        Skipped(target="node/gpu-3", why="ds/nvidia-device-plugin owns it"),
        *(Skipped(target=f"node/cpu-{i}", why="no NVIDIA GPU on its PCI bus") for i in range(1, 10)),
    ),
)
AUTOSCALED = Verdict(
    rule="autoscaled-pool",
    effect="warn",
    status="found",
    findings=(
        Finding(
            at="pool gpu-a",
            says="pool gpu-a is autoscaled: its template lacks the label",
            evidence=("node/gpu-1 has label cloud.google.com/gke-nodepool=gpu-a",),
            next="put gpuready.dev/agent=usr-local-nvidia-lib64-cdi into the pool's node labels",
        ),
    ),
)
NO_CHANGE = Plan(
    cluster_uid=UID,
    purpose="up",
    spec_digest="d",
    stages=(),
    skipped=FIRST_UP.skipped,
    unchanged=("sa/gpuready-agent", f"ds/{DS}", "node/gpu-1", "node/gpu-2"),
)
CHANGES = Plan(
    cluster_uid=UID,
    purpose="up",
    spec_digest="d",
    stages=(
        Stage(
            name="install",
            steps=(
                apply(
                    "DaemonSet",
                    DS,
                    f"ds/{DS}",
                    "device plugin, labels, metrics, health",
                    FieldChange(path=f"{POD}.containers[agent].image", before="r/gpuready:1", after="r/gpuready:2"),
                    FieldChange(path=".metadata.annotations[team]", before="ml"),
                    FieldChange(path=f"{POD}.priorityClassName", after="system-node-critical"),
                    verb="change",
                ),
                Step(
                    id="restart",
                    verb="restart",
                    target="pod/gpuready-agent-x7k2p",
                    action=Delete(Ref(api_version="v1", kind="Pod", name="gpuready-agent-x7k2p"), "u-1"),
                    why="its template changed (node/gpu-1)",
                    interrupts="new GPU pods there for seconds",
                    undo=Compensating("restarted again"),
                ),
                Step(
                    id="free",
                    verb="delete",
                    target="pod/cuda",
                    action=Delete(Ref(api_version="v1", kind="Pod", name="cuda", namespace="ml"), "u-2"),
                    why="holds a GPU without a request",
                    interrupts="ml/cuda",
                    undo=Irreversible("its work is lost"),
                    consent="delete-pod",
                ),
                Step(
                    id="restore",
                    verb="unlabel",
                    target="node/gpu-2",
                    action=Restore(
                        Ref(api_version="v1", kind="Node", name="gpu-2"),
                        "u-3",
                        {"/metadata/labels/gpuready.dev~1agent": "old"},
                        {"/metadata/labels/gpuready.dev~1agent": None},
                    ),
                    why="the agent leaves",
                ),
            ),
        ),
    ),
)

REFUSALS = (
    Verdict(
        rule="second-gpu-stack",
        effect="refuse",
        status="found",
        findings=(
            Finding(
                at="ds/kube-system/nvidia-device-plugin-daemonset",
                says="offers nvidia.com/gpu on gpu-3 already; two owners of one resource break each other",
                evidence=("pod kube-system/nvidia-device-plugin-x7k2p mounts /var/lib/kubelet/device-plugins",),
                next="gpuready verify proves the GPUs as they are, without installing anything",
                nodes=("gpu-3",),
            ),
            Finding(
                at="clusterpolicy/gpu-cluster-policy",
                says="the NVIDIA GPU Operator owns the GPUs of this cluster",
                evidence=("clusterpolicies.nvidia.com: gpu-cluster-policy, state ready",),
                next="gpuready verify proves the GPUs as they are, without installing anything",
            ),
        ),
    ),
    Verdict(
        rule="permissions",
        effect="refuse",
        status="undetermined",
        missing="selfsubjectaccessreviews.authorization.k8s.io: forbidden",
        ask="gpuready rbac up | kubectl apply -f -",
    ),
    AUTOSCALED,
    Verdict(rule="driver-on-node", effect="refuse", status="pass"),
    Verdict(rule="vfio", effect="refuse", status="crashed", missing="vfio: KeyError"),
)


def gpu(index: int, uuid: str, health: str = "ok", reason: str = "", held: Any = ()) -> Gpu:
    return Gpu(
        index=index,
        uuid=uuid,
        minor=index,
        model="NVIDIA H100 80GB HBM3",
        memory_mib=81559,
        pci=f"0000:1{index}:00.0",
        numa_node=0,
        health=health,
        reason=reason,
        held_by=held,
    )


def report(node: str, *gpus: Gpu, as_of: str = "2026-11-23T18:29:30Z", **fields: Any) -> AgentReport:
    return AgentReport(
        **{
            "node": node,
            "as_of": as_of,
            "version": "0.1.0",
            "driver": "580.65.06",
            "cuda": "13.0",
            "injection": "cdi",
            "registered": True,
            "gpus": gpus,
            **fields,
        }
    )


HOLDER = Holder(namespace="ml", pod="cuda-vectoradd", container="main")
HELD_POD = Pod(
    namespace="ml",
    name="cuda-vectoradd",
    uid="p-1",
    node="gpu-1",
    phase="Running",
    not_ready_since="2026-11-23T09:21:00Z",
    containers=(
        ContainerUse(name="prepare", init=True),
        ContainerUse(name="main", ready=False, state="terminated:0"),
        ContainerUse(name="istio-proxy", ready=True, state="running"),
    ),
)
FELL_OFF = "Xid 79 at 2026-11-23T09:14:00Z: GPU has fallen off the bus"
REPORTS: dict[str, AgentReport | Unknown] = {
    "gpu-1": report("gpu-1", gpu(0, "GPU-91bc0d11-aaaa"), gpu(1, "GPU-3f2a9c01-bbbb", held=(HOLDER,))),
    "gpu-2": report("gpu-2", gpu(0, "GPU-77d01f3e-cccc", "failed", FELL_OFF)),
    "gpu-3": Unknown("agent silent for 4m"),
}
VERDICTS = (
    GpuVerdict(
        node="gpu-1",
        uuid="GPU-3f2a9c01-8a55-4a3f-8ac2-c1c1f0c1a0b1",
        scheduled="pass",
        computed="pass",
        verdict="PASS",
        seconds=2.84,
    ),
    GpuVerdict(
        node="gpu-1",
        uuid="GPU-91bc0d11-6a55-4a3f-8ac2-c1c1f0c1a0b1",
        scheduled="-",
        computed="-",
        verdict="UNDETERMINED",
        note="held by ml/cuda-vectoradd",
    ),
    GpuVerdict(
        node="gpu-2",
        uuid="GPU-77d01f3e-7a55-4a3f-8ac2-c1c1f0c1a0b1",
        scheduled="fail",
        computed="-",
        verdict="FAIL",
        note="Xid 79",
    ),
)
