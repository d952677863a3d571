"""The rights that each verb needs, as data: printed by `gpuready rbac`, asked before a run, tested by use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gpuready.components.native_agent.component import AGENT_RULES, PROBE_PRIORITY, namespace
from gpuready.model.facts.cluster import Permission
from gpuready.model.names import AGENT, MANAGED_BY, NAMESPACE
from gpuready.model.spec import GPU_OPERATOR, NATIVE

Json = dict[str, Any]


class Right(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a Role (`own` True: in our namespace only) or of a ClusterRole."""

    group: str = ""
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    own: bool = False


RBAC, ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
POLICIES = ("validatingadmissionpolicies", "validatingadmissionpolicybindings")
ROLES = ("clusterroles", "clusterrolebindings")

GPU_CRDS = (  # collectors/crds.py
    "clusterpolicies.nvidia.com",
    "nvidiadrivers.nvidia.com",
    "gpuclusters.nvidia.com",
    "computedomains.resource.nvidia.com",
    "nodefeatures.nfd.k8s-sigs.io",
    "nodefeaturerules.nfd.k8s-sigs.io",
)
GO = ("delete", "list", "watch")  # delete, and see it gone
READ = (
    Right(resources=("nodes", "pods"), verbs=("get", "list", "watch")),
    Right(group="apps", resources=("daemonsets",), verbs=("list",)),
    Right(resources=("namespaces",), verbs=("get",), names=(NAMESPACE, "kube-system")),
    Right(resources=("configmaps",), verbs=("get",), names=("kubeadm-config",)),
    Right(group="nvidia.com", resources=("clusterpolicies", "nvidiadrivers", "gpuclusters"), verbs=("list",)),
    Right(group="resource.k8s.io", resources=("deviceclasses", "resourceslices"), verbs=("list",)),
    Right(
        group=ADMISSION,
        resources=("mutatingwebhookconfigurations", "validatingwebhookconfigurations"),
        verbs=("list",),
    ),
    Right(group=ADMISSION, resources=POLICIES, verbs=("get",), names=(AGENT,)),
    Right(group=RBAC, resources=ROLES, verbs=("get",), names=(AGENT,)),
    Right(group="scheduling.k8s.io", resources=("priorityclasses",), verbs=("get",), names=(PROBE_PRIORITY,)),
    Right(resources=("secrets",), verbs=("get", "list"), own=True),
    Right(resources=("serviceaccounts",), verbs=("get",), own=True),
    Right(group="apps", resources=("daemonsets",), verbs=("get",), own=True),
    Right(group="coordination.k8s.io", resources=("leases",), verbs=("get",), own=True),
)
PROXY = (Right(resources=("pods/proxy",), verbs=("get",), own=True),)
PROBE = (
    Right(resources=("pods",), verbs=("create", "delete"), own=True),
    Right(resources=("pods/log",), verbs=("get",), own=True),
)
JOURNAL = (
    Right(resources=("secrets",), verbs=("create", "update", "delete"), own=True),
    Right(group="coordination.k8s.io", resources=("leases",), verbs=("create", "update", "delete"), own=True),
    Right(resources=("namespaces",), verbs=("patch",), names=(NAMESPACE,)),
)
WRITE = (
    Right(resources=("nodes",), verbs=("patch",)),
    Right(resources=("serviceaccounts",), verbs=("create", "patch", *GO), own=True),
    Right(group="apps", resources=("daemonsets",), verbs=("create", "patch", *GO), own=True),
    # server-side apply of an object that is not there yet is asked as `patch` by name, then as `create`
    Right(group=RBAC, resources=ROLES, verbs=("create",)),
    Right(group=RBAC, resources=ROLES, verbs=("patch", *GO), names=(AGENT,)),
    Right(group=ADMISSION, resources=POLICIES, verbs=("create",)),
    Right(group=ADMISSION, resources=POLICIES, verbs=("patch", *GO), names=(AGENT,)),
    Right(group="scheduling.k8s.io", resources=("priorityclasses",), verbs=("create",)),
    Right(group="scheduling.k8s.io", resources=("priorityclasses",), verbs=("patch", *GO), names=(PROBE_PRIORITY,)),
    # whoever grants the agent its rights must hold them
    *(
        Right(group=rule["apiGroups"][0], resources=tuple(rule["resources"]), verbs=tuple(rule["verbs"]))
        for rule in AGENT_RULES
    ),
)
EXPLAIN = (
    Right(resources=("events", "namespaces", "resourcequotas"), verbs=("list",)),
    Right(group="node.k8s.io", resources=("runtimeclasses",), verbs=("list",)),
    Right(group="nfd.k8s-sigs.io", resources=("nodefeatures",), verbs=("list",)),
    Right(group="apiextensions.k8s.io", resources=("customresourcedefinitions",), verbs=("get",), names=GPU_CRDS),
    Right(resources=("pods/log",), verbs=("get",)),
)
# each for a remedy: a pod that keeps a GPU; labels of nodes and namespaces; DaemonSets of other stacks; CRDs
FIX = (
    Right(resources=("pods",), verbs=("delete",)),
    Right(resources=("nodes", "namespaces"), verbs=("get", "patch")),
    Right(group="apps", resources=("daemonsets",), verbs=("get", "list", "watch", "patch")),
    Right(group="apiextensions.k8s.io", resources=("customresourcedefinitions",), verbs=("patch",), names=GPU_CRDS),
    # `up` with another spec, where that is the remedy: the agent's pod is asked of admission first
    Right(resources=("pods",), verbs=("create",), own=True),
)
ALL = READ + PROXY + PROBE + JOURNAL + WRITE

RIGHTS: Mapping[str, tuple[Right, ...]] = {
    "init": READ + PROBE + JOURNAL,
    "plan": READ,
    "apply": ALL,
    "up": ALL,
    "verify": READ + PROXY + PROBE,
    "status": READ + PROXY,
    "doctor": READ + PROXY + EXPLAIN,
    "doctor --host-facts": READ + PROXY + EXPLAIN + PROBE,
    "doctor --fix": READ + PROXY + EXPLAIN + JOURNAL + FIX,
    "why": READ + PROXY + EXPLAIN,
    "collect": READ + PROXY + EXPLAIN,
    "uninstall": READ + PROBE + JOURNAL + WRITE,
}


CHANGE = ("get", "create", "update", "patch", *GO)
# Stack `gpu-operator`. Helm keeps its releases in Secrets of the operator's namespace, which the spec names, so that
# the right is for all namespaces; and whoever creates the operator's ClusterRoles must hold all that they hold, or
# `escalate` and `bind`. That is nearly as much as cluster-admin has.
OPERATOR_READ = (
    Right(resources=("namespaces",), verbs=("get",)),
    Right(resources=("secrets",), verbs=("get", "list")),
    Right(group="apiextensions.k8s.io", resources=("customresourcedefinitions",), verbs=("get",)),
)
OPERATOR = (
    *OPERATOR_READ,
    Right(resources=("namespaces", "secrets", "serviceaccounts", "configmaps", "services", "pods"), verbs=CHANGE),
    Right(group="apps", resources=("deployments", "daemonsets"), verbs=CHANGE),
    Right(group="batch", resources=("jobs",), verbs=CHANGE),
    Right(group=RBAC, resources=("roles", *ROLES, "rolebindings"), verbs=CHANGE),
    Right(group=RBAC, resources=("roles", "clusterroles"), verbs=("escalate", "bind")),
    Right(group="apiextensions.k8s.io", resources=("customresourcedefinitions",), verbs=CHANGE),
    Right(group="nvidia.com", resources=("clusterpolicies", "nvidiadrivers", "gpuclusters"), verbs=CHANGE),
    Right(group="nfd.k8s-sigs.io", resources=("nodefeatures", "nodefeaturerules", "nodefeaturegroups"), verbs=CHANGE),
)
BY_STACK: Mapping[str, Mapping[str, tuple[Right, ...]]] = {
    GPU_OPERATOR: {
        "plan": OPERATOR_READ,
        "apply": OPERATOR,
        "up": OPERATOR,
        "uninstall": OPERATOR,
    }
}


def rights(verb: str, stack: str | None = None) -> tuple[Right, ...]:
    """What the verb needs, whatever the stack, and what it needs for this one."""
    return RIGHTS[verb] + BY_STACK.get(stack or NATIVE, {}).get(verb, ())


def permissions(verb: str, stack: str | None = None) -> tuple[Permission, ...]:
    """Each single right that the verb needs, as a question to ask of the API."""
    return tuple(
        Permission(verb=v, group=right.group, resource=resource, namespace=NAMESPACE if right.own else "", name=name)
        for right in rights(verb, stack)
        for resource in right.resources
        for name in right.names or ("",)
        for v in right.verbs
    )


def manifests(verb: str, subject: Mapping[str, str], stack: str | None = None) -> list[Json]:
    """Namespace, Role, ClusterRole and their bindings that give `subject` what the verb needs, and nothing more."""
    name = f"gpuready-{verb.replace(' --', '-')}"
    needed = rights(verb, stack)
    own = [_rule(r) for r in needed if r.own]
    wide = [_rule(r) for r in needed if not r.own]
    return [
        namespace(),
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": _meta(name, NAMESPACE), "rules": own},
        _binding("RoleBinding", "Role", name, NAMESPACE, subject),
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": _meta(name), "rules": wide},
        _binding("ClusterRoleBinding", "ClusterRole", name, "", subject),
    ]


def _meta(name: str, namespace: str = "") -> Json:
    return {"name": name, **({"namespace": namespace} if namespace else {}), "labels": {**MANAGED_BY}}


def _rule(right: Right) -> Json:
    rule: Json = {"apiGroups": [right.group], "resources": list(right.resources), "verbs": list(right.verbs)}
    return {**rule, "resourceNames": list(right.names)} if right.names else rule


def _binding(kind: str, role: str, name: str, namespace: str, subject: Mapping[str, str]) -> Json:
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": kind,
        "metadata": _meta(name, namespace),
        "roleRef": {"apiGroup": RBAC, "kind": role, "name": name},
        "subjects": [dict(subject)],
    }
