"""What the API says about the cluster: parsed, frozen, narrow. A collection is complete or Unknown, never short."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gpuready.model.unknown import Unknown


class Frozen(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of every fact: immutable, built by name, camelCase on the wire."""


class Taint(Frozen, frozen=True, kw_only=True):
    key: str
    value: str = ""
    effect: str = ""

    def __str__(self) -> str:
        return f"{self.key}={self.value}:{self.effect}" if self.value else f"{self.key}:{self.effect}"


class Node(Frozen, frozen=True, kw_only=True):
    name: str
    uid: str
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    label_managers: Mapping[str, str] = {}  # label key -> field manager that set it, where managedFields tell
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    ready: bool | Unknown = Unknown("the node reports no Ready condition")
    ready_reason: str = ""  # of the Ready condition: "KubeletNotReady: container runtime is down"
    managers: tuple[str, ...] = ()  # field managers that wrote to the object itself (not to its status), sorted
    kubelet: str = ""  # v1.34.4
    runtime: str = ""  # containerd://2.2.9
    os: str = "linux"
    arch: str = "amd64"
    os_image: str = ""
    kernel: str = ""
    provider_id: str = ""
    capacity: Mapping[str, int] = {}  # extended resources with "/" in the name only, whole numbers
    allocatable: Mapping[str, int] = {}
    handlers: tuple[str, ...] = ()  # that its running container runtime says it has; empty: it does not say


class ContainerUse(Frozen, frozen=True, kw_only=True):
    name: str
    image: str = ""
    requests: Mapping[str, int] = {}  # extended resources, whole numbers
    visible_devices: str = ""  # NVIDIA_VISIBLE_DEVICES written in the pod spec
    state: str = ""  # running | waiting:Reason | terminated:ExitCode | "" (no status)
    ready: bool = False
    init: bool = False
    message: str = ""  # of the state: "Back-off pulling image ..."
    last: str = ""  # how it ended before it was started again: "Error 1: cannot load libnvidia-ml.so.1"
    restarts: int = 0


class Requirement(Frozen, frozen=True, kw_only=True):
    """What is asked of one label of a node."""

    key: str  # of a label, or metadata.name
    operator: str = "In"  # In | NotIn | Exists | DoesNotExist | Gt | Lt
    values: tuple[str, ...] = ()

    def __str__(self) -> str:
        match self.operator:
            case "In" if len(self.values) == 1:
                return f"{self.key}={self.values[0]}"
            case "Exists":
                return self.key
            case "DoesNotExist":
                return f"!{self.key}"
        return f"{self.key} {self.operator} ({', '.join(self.values)})"


class PodToleration(Frozen, frozen=True, kw_only=True):
    """As a pod states it; an empty key or effect stands for all."""

    key: str = ""
    operator: str = "Equal"
    value: str = ""
    effect: str = ""


class Placement(Frozen, frozen=True, kw_only=True):
    """What a pod asks of the node that it runs on. model/placement.py answers."""

    selector: Mapping[str, str] = {}
    terms: tuple[tuple[Requirement, ...], ...] = ()  # required node affinity: all of one of them
    tolerations: tuple[PodToleration, ...] = ()


class Pod(Frozen, frozen=True, kw_only=True):
    namespace: str
    name: str
    uid: str
    node: str = ""
    phase: str = ""
    reason: str = ""
    owner: str = ""  # ds/nvidia-device-plugin-daemonset
    labels: Mapping[str, str] = {}
    runtime_class: str = ""
    terminating: bool = False
    device_plugin_dir: bool = False  # mounts /var/lib/kubelet/device-plugins from the host
    claims: int = 0  # DRA resource claims
    containers: tuple[ContainerUse, ...] = ()
    not_ready_since: str = ""  # RFC 3339; empty: ready, or not told
    message: str = ""  # of the phase: "Pod was rejected: Allocate failed ..."
    unscheduled: str = ""  # the scheduler's words while no node is found
    restart_policy: str = "Always"
    placement: Placement | None = None  # told only while no node is found
    finalizers: tuple[str, ...] = ()  # told only while it is being deleted
    priority: int = 0
    disrupted: str = ""  # why it was to end, by its condition DisruptionTarget: "PreemptionByScheduler: ..."
    gpus_by_limit_range: tuple[str, ...] = ()  # containers to which a LimitRange gave a GPU that they do not ask for

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


class DaemonSet(Frozen, frozen=True, kw_only=True):
    namespace: str
    name: str
    uid: str
    images: tuple[str, ...] = ()
    labels: Mapping[str, str] = {}
    device_plugin_dir: bool = False
    args: tuple[str, ...] = ()  # command and args of all containers: what a plugin serves is often told here
    selects: tuple[str, ...] = ()  # label keys by which it chooses nodes (nodeSelector, required affinity), sorted
    desired: int = 0
    ready: int = 0
    current: int = 0  # nodes that should have a pod of it and have one
    misscheduled: int = 0  # nodes that have one and should not
    runtime_class: str = ""
    placement: Placement = Placement()

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


class Condition(Frozen, frozen=True, kw_only=True):
    type: str
    status: str
    reason: str = ""
    message: str = ""


class StackObject(Frozen, frozen=True, kw_only=True):
    """An object by which another GPU stack owns the GPUs: ClusterPolicy, NVIDIADriver, GPUCluster, DRA DeviceClass."""

    kind: str
    name: str
    detail: str = ""  # "state ready", "pool gpu-1"
    node: str = ""  # ResourceSlice: the node whose devices it offers
    state: str = ""  # ready | notReady | ignored | disabled
    conditions: tuple[Condition, ...] = ()
    fields: tuple[str, ...] = ()  # of its spec, sorted
    version: str = ""  # of the chart that made it, by its labels: v25.3.4

    @property
    def at(self) -> str:
        return f"{self.kind.lower()}/{self.name}"


class Permission(Frozen, frozen=True, kw_only=True):
    verb: str
    group: str
    resource: str  # "nodes", "nodes/status"
    namespace: str = ""
    name: str = ""
    allowed: bool | Unknown = Unknown("not asked")

    def __str__(self) -> str:
        where = f" in namespace {self.namespace}" if self.namespace else ""
        group = f".{self.group}" if self.group else ""
        return f"{self.verb} {self.resource}{group}{where}"


class Identity(Frozen, frozen=True, kw_only=True):
    """Which cluster this is. `uid` is the UID of namespace kube-system: names and addresses change, it does not."""

    uid: str
    server: str
    context: str = ""
    name: str = ""
    version: str = ""  # v1.34.4
    insecure: bool = False

    @property
    def minor(self) -> tuple[int, int]:
        """(1, 34); (0, 0) when the version is not of that form."""
        parts = self.version.lstrip("v").split(".")
        try:
            return int(parts[0]), int("".join(c for c in parts[1] if c.isdigit()))
        except (IndexError, ValueError):
            return 0, 0


class Namespace(Frozen, frozen=True, kw_only=True):
    name: str
    phase: str = "Active"
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    managers: tuple[str, ...] = ()  # field managers that wrote to it, sorted
    blocked: tuple[str, ...] = ()  # while terminating: what the namespace controller says is in the way


class Webhook(Frozen, frozen=True, kw_only=True):
    """An admission webhook with failurePolicy Fail that is asked about the creation of pods in gpuready-system."""

    kind: str  # ValidatingWebhookConfiguration | MutatingWebhookConfiguration
    configuration: str
    name: str
    backend: str = ""  # "service kyverno/kyverno-svc" or "url"


class Event(Frozen, frozen=True, kw_only=True):
    """A warning that a component gave about an object; the API keeps them for an hour."""

    about: str  # pod/ml/train-0, node/gpu-1
    reason: str = ""
    message: str = ""
    component: str = ""  # kubelet, default-scheduler
    node: str = ""
    last: str = ""  # RFC 3339
    count: int = 1


class RuntimeClass(Frozen, frozen=True, kw_only=True):
    name: str
    handler: str


class Crd(Frozen, frozen=True, kw_only=True):
    """A CustomResourceDefinition of the GPU stack."""

    name: str  # clusterpolicies.nvidia.com
    served: tuple[str, ...] = ()  # versions
    stored: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()  # of the spec, as the newest served version's schema knows them, sorted
    prunes: bool = True  # fields that the schema does not know are dropped
    terminating: bool = False
    conditions: tuple[Condition, ...] = ()


class Quota(Frozen, frozen=True, kw_only=True):
    """A ResourceQuota that bounds something of nvidia.com/."""

    namespace: str
    name: str
    hard: Mapping[str, int] = {}  # requests.nvidia.com/gpu -> 4
    used: Mapping[str, int] = {}

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


class NodeFeature(Frozen, frozen=True, kw_only=True):
    """What NFD's worker saw on a node."""

    node: str
    nvidia: bool  # a PCI device of vendor 10de


NOT_READ = Unknown("not read: only doctor and collect ask for it")


class ClusterFacts(Frozen, frozen=True, kw_only=True):
    identity: Identity
    nodes: tuple[Node, ...] | Unknown
    pods: tuple[Pod, ...] | Unknown
    daemonsets: tuple[DaemonSet, ...] | Unknown
    stacks: tuple[StackObject, ...] | Unknown
    own_namespace: Namespace | Unknown | None  # gpuready-system; None: there is none
    kubeadm: bool | Unknown = Unknown("not read")  # ConfigMap kube-system/kubeadm-config is there
    permissions: tuple[Permission, ...] = ()
    webhooks: tuple[Webhook, ...] | Unknown = ()
    events: tuple[Event, ...] | Unknown = NOT_READ
    preemptions: tuple[Event, ...] | Unknown = NOT_READ  # what the scheduler said to pods that had to give way
    dra: tuple[StackObject, ...] | Unknown = ()  # DeviceClasses and ResourceSlices of driver gpu.nvidia.com
    runtime_classes: tuple[RuntimeClass, ...] | Unknown = NOT_READ
    crds: tuple[Crd, ...] | Unknown = NOT_READ
    quotas: tuple[Quota, ...] | Unknown = NOT_READ
    namespaces: tuple[Namespace, ...] | Unknown = NOT_READ  # of their labels only those of Pod Security
    features: tuple[NodeFeature, ...] | Unknown = NOT_READ  # empty also where NFD is not there
