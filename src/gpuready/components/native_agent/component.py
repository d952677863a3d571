"""The node agent of stack `native`: one DaemonSet per driver layout, with the least rights that it can work with."""

from __future__ import annotations

from typing import Any

import msgspec

from gpuready.model.digest import digest
from gpuready.model.names import (
    AGENT,
    AGENT_LABEL,
    CONDITION,
    CREATED,
    MANAGED_BY,
    NAMESPACE,
    TEMPLATE_LABEL,
)
from gpuready.model.spec import Setup
from gpuready.model.taints import DEFAULT_TOLERATION

Json = dict[str, Any]

KUBELET = "/var/lib/kubelet"
CDI_DIR = "/var/run/cdi"
NOBODY = 65534
PROBE_PRIORITY = "gpuready-probe"
# kubelet would make its default, /dev/termination-log, in the /dev of the node
TERMINATION_MESSAGE = "/run/termination-log"


class Layout(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """Where the driver lies on a group of nodes, and how its devices reach pods. One layout, one DaemonSet."""

    root: str
    lib_dir: str
    nvidia_smi: str = ""
    injection: str = "cdi"

    @property
    def slug(self) -> str:
        """Value of the node label; part of the DaemonSet's name: usr-local-nvidia-lib64-cdi."""
        words = "".join(c if c.isalnum() else "-" for c in self.lib_dir.lower()).strip("-")
        return f"{words}-{self.injection}"[:40].strip("-")

    @property
    def daemonset(self) -> str:
        return f"{AGENT}-{self.slug}"


def render(setup: Setup, layouts: list[Layout], minor: tuple[int, int]) -> list[Json]:
    """Every object of the component in the order in which it is applied. `minor`: the API server's version (1, 34)."""
    objects = [_service_account(), _cluster_role(), _cluster_role_binding(), priority_class()]
    if minor >= (1, 30):
        objects += [_policy(), _policy_binding()]
    node_writes = minor >= (1, 30)
    return objects + [_daemonset(setup, layout, node_writes) for layout in sorted(layouts)]


PRIVILEGED = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "audit", "warn")}


def namespace(run: str = "") -> Json:
    """Our namespace. The agent is privileged, so Pod Security must allow it; the annotation tells that we made it."""
    meta: Json = {"name": NAMESPACE, "labels": {**MANAGED_BY, **PRIVILEGED}}
    if run:
        meta["annotations"] = {CREATED: run}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta}


def _meta(name: str, namespaced: bool = False) -> Json:
    return {"name": name, **({"namespace": NAMESPACE} if namespaced else {}), "labels": {**MANAGED_BY}}


def _service_account() -> Json:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _meta(AGENT, namespaced=True)}


def priority_class() -> Json:
    """For the compute probe: preempts nobody, yields to everybody; below -10 no autoscaler adds nodes for it."""
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": _meta(PROBE_PRIORITY),
        "value": -1000,
        "preemptionPolicy": "Never",
        "description": "gpuready's short-lived GPU probes",
    }


AGENT_RULES: list[Json] = [
    {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"]},
    {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create"]},
]


def _cluster_role() -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": _meta(AGENT),
        "rules": AGENT_RULES,
    }


def _cluster_role_binding() -> Json:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": _meta(AGENT),
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": AGENT},
        "subjects": [{"kind": "ServiceAccount", "name": AGENT, "namespace": NAMESPACE}],
    }


def _same(part: str, *but: str) -> str:
    """CEL: every field of this part of the object is as it was, but those named; also a field that a later Kubernetes
    adds. `dyn`: objects are maps when this is evaluated, but not to the API server's type check."""
    new, old, free = f"dyn(object.{part})", f"dyn(oldObject.{part})", f"k in {list(but)}"
    return f"{new}.all(k, {free} || (k in {old} && {new}[k] == {old}[k])) && {old}.all(k, {free} || k in {new})"


def _policy() -> Json:
    """Confines the agent's token to its own Node and to the fields that are its own.

    The node name in the token is set by the API server when the kubelet asks for it (ServiceAccountTokenPodNodeInfo,
    on by default since Kubernetes 1.30), so a token taken from one node cannot write to another.
    """
    claim = "authentication.kubernetes.io/node-name"
    ours = "k.startsWith('nvidia.com/')"
    labels, old = "object.metadata.labels", "oldObject.metadata.labels"
    checks = [
        (
            f"'{claim}' in request.userInfo.extra && request.userInfo.extra['{claim}'][0] == object.metadata.name",
            "the gpuready agent may write only to the node that it runs on",
        ),
        ("object.spec == oldObject.spec", "the gpuready agent may not change a node's spec"),
        (
            f"(!has({labels}) || {labels}.all(k, {ours} || (has({old}) && k in {old} && {old}[k] == {labels}[k])))"
            f" && (!has({old}) || {old}.all(k, {ours} || (has({labels}) && k in {labels})))",
            "the gpuready agent may change only labels that begin with nvidia.com/",
        ),
        (
            _same("metadata", "labels", "managedFields", "resourceVersion", "generation"),
            "the gpuready agent may not change a node's annotations, finalizers or owners",
        ),
        (
            f"{_same('status', 'conditions')}"
            f" && object.status.conditions.filter(c, c.type != '{CONDITION}')"
            f" == oldObject.status.conditions.filter(c, c.type != '{CONDITION}')",
            f"the gpuready agent may change only the condition {CONDITION} of a node's status",
        ),
    ]
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"]}
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": _meta(AGENT),
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {"resourceRules": [{**rule, "resources": ["nodes", "nodes/status"]}]},
            "matchConditions": [
                {
                    "name": "agent",
                    "expression": f"request.userInfo.username == 'system:serviceaccount:{NAMESPACE}:{AGENT}'",
                }
            ],
            "validations": [{"expression": e, "message": m} for e, m in checks],
        },
    }


def _policy_binding() -> Json:
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": _meta(AGENT),
        "spec": {"policyName": AGENT, "validationActions": ["Deny"]},
    }


def tolerations(setup: Setup) -> list[Json]:
    out = []
    for t in (DEFAULT_TOLERATION, *setup.nodes.tolerations):
        item: Json = {"key": t.key, "operator": t.operator}
        if t.operator == "Equal":
            item["value"] = t.value
        if t.effect:
            item["effect"] = t.effect
        if item not in out:
            out.append(item)
    return out


def image_fields(setup: Setup) -> Json:
    """Pod fields that name the image's pull secret; empty without one."""
    secret = setup.image.pull_secret if setup.image else None
    return {"imagePullSecrets": [{"name": secret}]} if secret else {}


def _daemonset(setup: Setup, layout: Layout, node_writes: bool) -> Json:
    selector = {"app.kubernetes.io/name": AGENT, "gpuready.dev/layout": layout.slug}
    spec = _pod_spec(setup, layout, node_writes)
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": _meta(layout.daemonset, namespaced=True),
        "spec": {
            "selector": {"matchLabels": selector},
            # one node at a time and only when the engine says so: it deletes the pod, waits and proves
            "updateStrategy": {"type": "OnDelete"},
            "template": {
                "metadata": {
                    "labels": {**MANAGED_BY, **selector, TEMPLATE_LABEL: digest(spec)},
                    # service meshes and secret injectors must leave a node agent alone
                    "annotations": {"sidecar.istio.io/inject": "false", "linkerd.io/inject": "disabled"},
                },
                "spec": spec,
            },
        },
    }


def _pod_spec(setup: Setup, layout: Layout, node_writes: bool) -> Json:
    agent, port = setup.agent, setup.agent.metrics_port
    args = [
        "agent",
        f"--driver-root={layout.root}",
        f"--lib-dir={layout.lib_dir}",
        f"--injection={layout.injection}",
        f"--listen=:{port}",
        f"--hostname-label={agent.hostname_label}",
        *([f"--nvidia-smi={layout.nvidia_smi}"] if layout.nvidia_smi else []),
        *([] if node_writes else ["--no-node-writes"]),
    ]
    volumes, mounts = _volumes(layout)
    return {
        "serviceAccountName": AGENT,
        "priorityClassName": "system-node-critical",
        "nodeSelector": {AGENT_LABEL: layout.slug},
        "tolerations": tolerations(setup),
        "terminationGracePeriodSeconds": 30,
        # The agent is not PID 1: for that the kernel drops a SIGTERM that comes before there is a handler, and an agent
        # deleted while it starts would live until it is killed, its GPUs still counted by the kubelet.
        "shareProcessNamespace": True,
        **image_fields(setup),
        "containers": [
            {
                "name": "agent",
                "image": setup.image.reference if setup.image else "",
                "imagePullPolicy": "IfNotPresent",
                "terminationMessagePath": TERMINATION_MESSAGE,
                "args": args,
                "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                "ports": [{"name": "metrics", "containerPort": port, "protocol": "TCP"}],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": port}, "periodSeconds": 2},
                "livenessProbe": {
                    "httpGet": {"path": "/health", "port": port},
                    "periodSeconds": 20,
                    "failureThreshold": 6,
                },
                "resources": {
                    "requests": {"cpu": agent.cpu, "memory": agent.memory},
                    "limits": {"memory": agent.memory_limit},
                },
                # without a container toolkit only a privileged container may open /dev/nvidia*
                "securityContext": {"privileged": True, "readOnlyRootFilesystem": True},
                "volumeMounts": mounts,
            }
        ],
        "volumes": volumes,
    }


def _volumes(layout: Layout) -> tuple[list[Json], list[Json]]:
    """Exactly these host paths and nothing more."""
    wanted = [
        ("device-plugins", f"{KUBELET}/device-plugins", "Directory", f"{KUBELET}/device-plugins", False),
        ("pod-resources", f"{KUBELET}/pod-resources", "Directory", f"{KUBELET}/pod-resources", True),
        ("driver", layout.lib_dir, "Directory", f"/host{layout.lib_dir}", True),
        # the CDI file, and beside it the faults that an agent's restart must not forget
        ("cdi", CDI_DIR, "DirectoryOrCreate", CDI_DIR, False),
        # a privileged container's own /dev is a copy made at its start: a GPU that appears later would not be in it
        ("dev", "/dev", "Directory", "/dev", False),
    ]
    if layout.nvidia_smi:
        wanted.append(("nvidia-smi", layout.nvidia_smi, "File", f"/host{layout.nvidia_smi}", True))
    volumes = [{"name": n, "hostPath": {"path": p, "type": t}} for n, p, t, _, _ in wanted]
    mounts = [{"name": n, "mountPath": m, **({"readOnly": True} if ro else {})} for n, _, _, m, ro in wanted]
    return volumes, mounts
