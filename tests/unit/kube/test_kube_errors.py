"""What the API server's refusals become: the class that callers tell apart, the sentence, the next step."""

from __future__ import annotations

import pytest

from gpuready.adapters.kube_errors import Status, api_error
from gpuready.model.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Target,
)

DS = Target("patch", "daemonsets.apps", "agent", "gpuready-system")
GRANT = "`gpuready rbac VERB` prints the rights that a verb needs; an administrator of the cluster can grant them"

# sentence, code, reason, the server's message, target, class, what is said, what to do
CASES: list[tuple[str, int, str, str, Target, type[ApiError], str, str]] = [
    (
        "RBAC, in a namespace",
        403,
        "Forbidden",
        'daemonsets.apps is forbidden: User "alice" cannot create resource "daemonsets" in API group "apps" '
        'in the namespace "gpuready-system"',
        DS,
        Forbidden,
        "alice may not create daemonsets.apps in namespace gpuready-system",
        GRANT,
    ),
    (
        "RBAC, cluster-wide, core group",
        403,
        "Forbidden",
        'nodes is forbidden: User "system:serviceaccount:a:b" cannot list resource "nodes" in API group "" '
        "at the cluster scope",
        Target("list", "nodes"),
        Forbidden,
        "system:serviceaccount:a:b may not list nodes cluster-wide",
        GRANT,
    ),
    (
        "RBAC on a subresource",
        403,
        "Forbidden",
        'nodes "n" is forbidden: User "bob" cannot patch resource "nodes/status" in API group "" at the cluster scope',
        Target("patch", "nodes/status", "n"),
        Forbidden,
        "bob may not patch nodes/status cluster-wide",
        GRANT,
    ),
    (
        "impersonation that is not allowed",
        403,
        "Forbidden",
        'users "eve" is forbidden: User "bob" cannot impersonate resource "users" in API group "" at the cluster scope',
        Target("list", "nodes"),
        Forbidden,
        "bob may not impersonate users cluster-wide",
        GRANT,
    ),
    (
        "RBAC on a path",
        403,
        "Forbidden",
        'forbidden: User "system:anonymous" cannot get path "/metrics"',
        Target("get", "/metrics"),
        Forbidden,
        "system:anonymous may not get /metrics",
        GRANT,
    ),
    (
        "a namespace that is going",
        403,
        "Forbidden",
        'daemonsets.apps "agent" is forbidden: unable to create new content in namespace gpuready-system because it is '
        "being terminated",
        DS,
        Forbidden,
        "namespace gpuready-system is being deleted, so daemonsets.apps/agent in namespace gpuready-system "
        "cannot be created",
        "wait until it is gone (kubectl get ns gpuready-system shows what holds it), then run this again",
    ),
    (
        "a policy",
        422,
        "Invalid",
        "nodes \"n2\" is forbidden: ValidatingAdmissionPolicy 'own-node' with binding 'own-node' denied request: "
        "only your own node",
        Target("patch", "nodes", "n2"),
        Invalid,
        "ValidatingAdmissionPolicy own-node (binding own-node) denies patch nodes/n2: only your own node",
        "meet the policy, or ask its owner for an exception",
    ),
    (
        "a webhook that says why",
        400,
        "",
        'admission webhook "validate.kyverno.svc-fail" denied the request: no privileged pods',
        DS,
        ApiError,
        "admission webhook validate.kyverno.svc-fail denies patch daemonsets.apps/agent in namespace gpuready-system: "
        "no privileged pods",
        "meet its rule, or ask its owner for an exception",
    ),
    (
        "a webhook that does not",
        403,
        "Forbidden",
        'admission webhook "w.example" denied the request without explanation',
        Target("create", "namespaces", "x"),
        Forbidden,
        "admission webhook w.example denies create namespaces/x",
        "meet its rule, or ask its owner for an exception",
    ),
    (
        "a webhook that is not there",
        500,
        "InternalError",
        'Internal error occurred: failed calling webhook "w.example": failed to call webhook: '
        'Post "https://w.ns.svc:443/v?timeout=10s": service "w" not found',
        Target("create", "namespaces", "x"),
        ApiError,
        "admission webhook w.example does not answer, so the API server refuses create namespaces/x: "
        'failed to call webhook: Post "https://w.ns.svc:443/v?timeout=10s": service "w" not found',
        "repair the webhook's service; nothing was changed",
    ),
    (
        "Pod Security",
        403,
        "Forbidden",
        'pods "p" is forbidden: violates PodSecurity "restricted:latest": privileged (container "c" must not set '
        "securityContext.privileged=true)",
        Target("create", "pods", "p", "ns"),
        Forbidden,
        'Pod Security restricted:latest forbids pods/p in namespace ns: privileged (container "c" must not set '
        "securityContext.privileged=true)",
        "label the namespace pod-security.kubernetes.io/enforce=privileged, or ask who may",
    ),
    (
        "a quota",
        403,
        "Forbidden",
        'pods "p" is forbidden: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: 8, limited: 8',
        Target("create", "pods", "p", "ns"),
        Forbidden,
        "quota gpus forbids pods/p in namespace ns: requested: requests.nvidia.com/gpu=1, used: 8, limited: 8",
        "raise the quota, or free what it counts",
    ),
    (
        "etcd is full",
        500,
        "",
        "etcdserver: mvcc: database space exceeded",
        DS,
        ApiError,
        "the cluster's data store is full (etcd: database space exceeded), so daemonsets.apps/agent in namespace "
        "gpuready-system cannot be written",
        "compact and defragment etcd, then run `etcdctl alarm disarm`",
    ),
    (
        "its disk is full",
        500,
        "",
        "etcdserver: no space",
        Target("create", "namespaces", "x"),
        ApiError,
        "the disk of the cluster's data store is full, so namespaces/x cannot be written",
        "free space where etcd keeps its data",
    ),
    (
        "507",
        507,
        "InsufficientStorage",
        "Insufficient Storage",
        Target("create", "namespaces", "x"),
        ApiError,
        "the disk of the cluster's data store is full, so namespaces/x cannot be written",
        "free space where etcd keeps its data",
    ),
    (
        "too large for etcd",
        500,
        "",
        "etcdserver: request is too large",
        Target("create", "secrets", "s", "ns"),
        ApiError,
        "secrets/s in namespace ns is too large for the API server",
        "make it smaller: etcd takes 1.5 MiB an object",
    ),
    (
        "too large for the API server",
        413,
        "RequestEntityTooLarge",
        "Request entity too large: limit is 3145728",
        Target("create", "secrets", "s", "ns"),
        ApiError,
        "secrets/s in namespace ns is too large for the API server",
        "make it smaller: etcd takes 1.5 MiB an object",
    ),
    (
        "storage that cannot be read",
        500,
        "StorageReadError",
        "failed to list ConfigMap: 3 corrupt objects",
        Target("list", "configmaps"),
        ApiError,
        "the data store cannot give configmaps: failed to list ConfigMap: 3 corrupt objects",
        "ask who runs the control plane",
    ),
    (
        "not there",
        404,
        "NotFound",
        'daemonsets.apps "agent" not found',
        DS,
        NotFound,
        "daemonsets.apps/agent in namespace gpuready-system is not there",
        "",
    ),
    (
        "the namespace is not there",
        404,
        "NotFound",
        'namespaces "gpuready-system" not found',
        DS,
        NotFound,
        "namespace gpuready-system is not there",
        "",
    ),
    (
        "the API is not there",
        404,
        "NotFound",
        "the server could not find the requested resource",
        Target("list", "resourceclaims.resource.k8s.io"),
        NotFound,
        "the cluster does not serve resourceclaims.resource.k8s.io",
        "install what provides it (its CustomResourceDefinition), or check the cluster's version",
    ),
    (
        "there already",
        409,
        "AlreadyExists",
        'namespaces "x" already exists',
        Target("create", "namespaces", "x"),
        AlreadyExists,
        "namespaces/x is there already",
        "",
    ),
    (
        "changed since it was read",
        409,
        "Conflict",
        'Operation cannot be fulfilled on nodes "n": the object has been modified; please apply your changes to the '
        "latest version and try again",
        Target("update", "nodes", "n"),
        Conflict,
        "nodes/n has been changed by somebody else since it was read",
        "run this again: it starts from the new state",
    ),
    (
        "another object of that name",
        409,
        "Conflict",
        'Operation cannot be fulfilled on Pod "p": the UID in the precondition (a) does not match the UID in record '
        "(b). The object might have been deleted and then recreated",
        Target("delete", "pods", "p", "ns"),
        Conflict,
        "pods/p in namespace ns is not the one that was read: it has been deleted since",
        "look at it and plan again",
    ),
    (
        "an apply tied to an object that is not there",
        409,
        "Conflict",
        'Operation cannot be fulfilled on nodes "n": uid mismatch: the provided object specified uid a, and no '
        "existing object was found",
        Target("patch", "nodes", "n"),
        Conflict,
        "nodes/n is not the one that was read: it has been deleted since",
        "look at it and plan again",
    ),
    (
        "delete of an object that has changed",
        409,
        "Conflict",
        'Operation cannot be fulfilled on Pod "p": the ResourceVersion in the precondition (1) does not match the '
        "ResourceVersion in record (287). The object might have been modified",
        Target("delete", "pods", "p", "ns"),
        Conflict,
        "pods/p in namespace ns has been changed by somebody else since it was read",
        "run this again: it starts from the new state",
    ),
    (
        "a JSON patch whose test fails",
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
        Target("patch", "nodes/status", "n"),
        Invalid,
        "nodes/n (status) is not as the patch expects it: one of its paths or tests does not fit",
        "look at it and plan again",
    ),
    (
        "an apply with a field that this version does not know",
        500,
        "",
        "failed to create typed patch object (try/b; apps/v1, Kind=DaemonSet): .spec.nope: field not declared in "
        "schema",
        DS,
        ApiError,
        "the API server does not take this form of daemonsets.apps/agent in namespace gpuready-system: "
        ".spec.nope: field not declared in schema",
        "correct the field, or check the version of the cluster",
    ),
    (
        "the log of a pod that is not there",
        404,
        "NotFound",
        'pods "p" not found',
        Target("get", "pods/log", "p", "ns"),
        NotFound,
        "pods/p in namespace ns is not there",
        "",
    ),
    (
        "history that is gone",
        410,
        "Expired",
        "too old resource version: 5 (77)",
        Target("watch", "pods"),
        Gone,
        "the state of pods that was asked for is no longer kept",
        "list again",
    ),
    (
        "overload",
        429,
        "TooManyRequests",
        "too many requests, please try again later.",
        Target("list", "pods"),
        ApiError,
        "the API server is overloaded: too many requests, please try again later.",
        "wait a little and run this again",
    ),
    (
        "shutting down",
        503,
        "ServiceUnavailable",
        "apiserver is shutting down",
        Target("list", "pods"),
        ApiError,
        "the API server cannot serve pods now: apiserver is shutting down",
        "wait a little and run this again",
    ),
    (
        "anything else, in its own words on one line",
        418,
        "Teapot",
        "short\nand \x1b[31mstout",
        Target("get", "pods", "p", "ns"),
        ApiError,
        "the API server refused get pods/p in namespace ns (418 Teapot): short and [31mstout",
        "",
    ),
]


@pytest.mark.parametrize(
    ("code", "reason", "message", "target", "kind", "what", "todo"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_a_refusal(
    code: int, reason: str, message: str, target: Target, kind: type[ApiError], what: str, todo: str
) -> None:
    error = api_error(code, Status(reason=reason, message=message), target)
    assert (type(error), error.what, error.next, error.code, error.reason) == (kind, what, todo, code, reason)
    assert (error.verb, error.resource, error.name) == (target.verb, target.resource, target.name)
