"""What is to be done, as data that can be read, stored, compared and executed. No callables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

Object = Mapping[str, Any]  # a Kubernetes object or a part of one, as JSON


class Value(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One value of the plan and where it comes from."""

    path: str  # "injection of gpu-1", "image"
    value: str
    origin: str  # default | spec | detected | platform
    because: str = ""  # "containerd 2.2.9 has CDI on by default"


class Ref(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Names one object in the API."""

    api_version: str
    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        """As kubectl takes it: ds/gpuready-agent, node/gpu-1."""
        return f"{SHORT.get(self.kind, self.kind.lower())}/{self.name}"


SHORT = {
    "CustomResourceDefinition": "crd",
    "DaemonSet": "ds",
    "Namespace": "ns",
    "ServiceAccount": "sa",
    "ValidatingAdmissionPolicy": "validatingadmissionpolicy",
}


def ref_of(obj: Object) -> Ref:
    meta = obj["metadata"]
    return Ref(api_version=obj["apiVersion"], kind=obj["kind"], name=meta["name"], namespace=meta.get("namespace", ""))


class Exact(msgspec.Struct, frozen=True, tag="exact"):
    """Undo restores exactly what was."""

    def __str__(self) -> str:
        return "exact"


class Compensating(msgspec.Struct, frozen=True, tag="compensating"):
    how: str

    def __str__(self) -> str:
        return self.how


class Irreversible(msgspec.Struct, frozen=True, tag="irreversible"):
    why: str

    def __str__(self) -> str:
        return f"none: {self.why}"


Undo = Exact | Compensating | Irreversible


class Wait(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A named predicate over observed state (engine/waits.py) that must hold before the next step."""

    until: str
    args: Mapping[str, str] = {}
    seconds: int = 300


class Apply(msgspec.Struct, frozen=True, tag="apply", omit_defaults=True):
    """Server-side apply of an object that is ours. `force`: fields that another manager holds become ours too."""

    object: Object
    force: bool = False


class Patch(msgspec.Struct, frozen=True, tag="patch"):
    """Server-side apply of fields on an object that is somebody else's and must exist."""

    object: Object  # only the fields that are ours


class Delete(msgspec.Struct, frozen=True, tag="delete", omit_defaults=True):
    """Delete this object and wait until it is gone."""

    ref: Ref
    uid: str  # only this very object
    forced: bool = False  # a pod whose kubelet does not answer: out of the API without waiting for it


class Restore(msgspec.Struct, frozen=True, tag="restore"):
    """Give fields on somebody else's object back their value before; a field that was changed since is left."""

    ref: Ref
    uid: str
    ours: Mapping[str, Any]  # path -> the value that we set
    before: Mapping[str, Any]  # path -> the value before; null: was absent


class Edit(msgspec.Struct, frozen=True, tag="edit", omit_defaults=True):
    """Give fields on somebody else's object other values, whoever set them; only where they are still as seen."""

    ref: Ref
    to: Mapping[str, Any] = {}  # path (JSON pointer) -> the value to be; null: absent
    add: Mapping[str, tuple[Any, ...]] = {}  # path -> items to be in the list there; part of `to` once `seen` is known
    uid: str = ""
    seen: Mapping[str, Any] = {}  # path -> the value when the plan was made; null: absent


class Release(msgspec.Struct, frozen=True, tag="release"):
    """Remove every field that the given field manager owns on an object (and on its status)."""

    ref: Ref
    manager: str
    subresources: tuple[str, ...] = ()


class Probe(msgspec.Struct, frozen=True, tag="probe", omit_defaults=True):
    """Run one short-lived pod on each node, read its one line of JSON, remove it."""

    kind: str  # look | compute | clean
    pods: Mapping[str, Object]  # by node
    nonce: str = ""  # compute: the report must carry it


class RuntimeEntry(msgspec.Struct, frozen=True, tag="runtime", omit_defaults=True):
    """Put a handler's entry into the configuration of a node's container runtime, or take ours out, and have it read.

    Done by a short-lived pod, which is filled in when the plan is made.
    """

    node: str
    runtime: str  # as the Node says it: containerd://2.2.9
    handler: str
    binaries: tuple[str, ...] = ()  # host paths; the first that is there is taken. Empty: take the entry out
    pod: Object = {}

    @property
    def interrupts(self) -> str:
        """CRI-O and docker read it anew while they run; containerd has to start anew (node/runtime_daemon.py)."""
        return (
            "containerd for seconds, no container" if self.runtime.startswith("containerd:") else "nothing: it reloads"
        )


class DryRun(msgspec.Struct, frozen=True, tag="dry-run"):
    """Ask the API server whether it would create this object; nothing is created."""

    object: Object


class Chart(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A Helm chart, and what it was when it was read for the plan."""

    source: str  # repository URL, OCI reference or path
    name: str
    version: str
    digest: str  # sha256 of the archive, or of the folder's files


class Helm(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="helm"):
    """Install or upgrade a release of a chart with these values and no others. Its CRDs are applied apart."""

    release: str
    namespace: str
    chart: Chart
    values: Mapping[str, Any]
    digest: str  # of the values

    @property
    def ref(self) -> Ref:
        return release_ref(self.release, self.namespace)


class HelmUninstall(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="helm-uninstall"):
    """Uninstall a release, with its hooks."""

    release: str
    namespace: str


def release_ref(name: str, namespace: str) -> Ref:
    """Names a release in the inventory; the API knows it only by Helm's Secrets."""
    return Ref(api_version="helm.sh/v3", kind="Release", name=name, namespace=namespace)


class Manual(msgspec.Struct, frozen=True, tag="manual"):
    """What only a person can do."""

    text: str


Action = (
    Apply | Patch | Edit | Delete | Restore | Release | Probe | RuntimeEntry | DryRun | Helm | HelmUninstall | Manual
)


class FieldChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One field that a step changes. `before` None: absent; `after` None: removed."""

    path: str
    before: Any = None
    after: Any = None


class Step(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One change: what, why, what it interrupts, how far it can be undone, and what must hold afterwards."""

    id: str  # stable over recomposition: "apply ds/gpuready-agent"
    verb: str  # create | change | delete | look | compute | clean | label ...
    target: str  # "ds/gpuready-agent", "node/gpu-1"
    action: Action
    why: str
    interrupts: str = "nothing"
    undo: Undo = Exact()
    wait: Wait | None = None
    consent: str = ""  # delete-pod | restart-runtime | reboot: what --allow must name
    expects: str | None = None  # digest of the observed object the plan was made for; None: object absent
    changes: tuple[FieldChange, ...] = ()


class Stage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    name: str
    steps: tuple[Step, ...] = ()
    pending: str = ""  # why the rest cannot be known yet: "pending(look at gpu-1, gpu-2)"


class Skipped(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    target: str
    why: str


class Plan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything that would be done to one cluster, in order."""

    cluster_uid: str
    purpose: str  # up | mend | undo | uninstall
    spec_digest: str
    stages: tuple[Stage, ...]
    values: tuple[Value, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    unchanged: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(step for stage in self.stages for step in stage.steps)

    @property
    def pending(self) -> bool:
        return any(stage.pending for stage in self.stages)
