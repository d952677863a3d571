"""What our Kubernetes client promises, held against a real API server."""

from __future__ import annotations

import functools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from gpuready.adapters.kube import Client, connect
from gpuready.adapters.kube_connection import choose
from gpuready.adapters.kube_http import Transport
from gpuready.adapters.kube_resources import BUILT_IN
from gpuready.model.errors import (
    AlreadyExists,
    ApiError,
    Cause,
    Conflict,
    FieldConflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Unauthorized,
)
from gpuready.model.plan import Ref
from testbed import Testbed
from testbed.cluster import BUSYBOX

pytestmark = pytest.mark.cluster

Json = dict[str, Any]
GRANT = "`gpuready rbac VERB` prints the rights that a verb needs; an administrator of the cluster can grant them"
ANOTHER = str(uuid.UUID(int=0))


class Meta(msgspec.Struct, rename="camel"):
    name: str
    resource_version: str


class Named(msgspec.Struct):
    metadata: Meta


@pytest.fixture(scope="module")
def cluster(testbed: Testbed) -> Iterator[Client]:
    with connect(testbed.kubeconfig) as client:
        yield client


@pytest.fixture
def namespace(cluster: Client) -> Iterator[str]:
    name = f"kube-client-{uuid.uuid4().hex[:8]}"
    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    if cluster.get(ns(name)):
        cluster.delete(ns(name))


def ns(name: str) -> Ref:
    return Ref(api_version="v1", kind="Namespace", name=name)


def config_map(namespace: str, name: str = "a", **data: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": data or {"x": "1"},
    }


def ref(namespace: str, name: str = "a", kind: str = "ConfigMap") -> Ref:
    return Ref(api_version="v1", kind=kind, name=name, namespace=namespace)


def as_user(testbed: Testbed, **user: Any) -> Client:
    """The admin, acting as somebody else."""
    connection = choose(testbed.kubeconfig)
    acting = msgspec.structs.replace(connection.user, **user)
    return Client(Transport(msgspec.structs.replace(connection, user=acting)))


def test_the_cluster_is_who_it_says(cluster: Client, testbed: Testbed) -> None:
    version = testbed.kubectl("version", "-o", "json")
    assert cluster.version().git_version == json.loads(version)["serverVersion"]["gitVersion"]
    assert cluster.uid() == testbed.kubectl("get", "ns", "kube-system", "-o", "jsonpath={.metadata.uid}")
    assert not cluster.insecure


def test_the_table_of_kinds_is_what_the_server_serves(cluster: Client) -> None:
    groups = {g["name"]: g["preferredVersion"]["version"] for g in json.loads(cluster.get_raw("/apis"))["groups"]}
    served = {}
    for group, version in {"": "v1", **groups}.items():
        path = f"/apis/{group}/{version}" if group else "/api/v1"
        for one in json.loads(cluster.get_raw(path))["resources"]:
            if "/" not in one["name"]:
                served[group, one["kind"]] = (one["name"], one["namespaced"])
    known = {key: value for key, value in BUILT_IN.items() if key in served or key[0] in groups or not key[0]}
    assert known == {key: served.get(key) for key in known}
    assert {key[0] for key in BUILT_IN.keys() - known.keys()} <= {"resource.k8s.io"}  # not before 1.34


# server-side apply


def test_apply_creates_then_changes_nothing(cluster: Client, namespace: str) -> None:
    first = cluster.apply(config_map(namespace), manager="gpuready")
    again = cluster.apply(config_map(namespace), manager="gpuready")
    assert again == first
    assert [(m["manager"], m["operation"]) for m in first["metadata"]["managedFields"]] == [("gpuready", "Apply")]
    assert cluster.get(ref(namespace)) == first


def test_apply_names_the_other_manager_and_its_field(cluster: Client, namespace: str) -> None:
    cluster.apply(config_map(namespace, x="1", y="1"), manager="argocd-controller")
    with pytest.raises(Conflict) as caught:
        cluster.apply(config_map(namespace, x="2", y="2"), manager="gpuready")
    assert set(caught.value.fields) == {
        FieldConflict("argocd-controller", ".data.x"),
        FieldConflict("argocd-controller", ".data.y"),
    }
    forced = cluster.apply(config_map(namespace, x="2"), manager="gpuready", force=True)
    assert forced["data"] == {"x": "2", "y": "1"}


def test_apply_names_who_owns_a_field_of_a_status(cluster: Client, testbed: Testbed) -> None:
    node = testbed.nodes[0].name
    status = {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "x", "message": "x"}]}
    body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}, "status": status}
    with pytest.raises(Conflict) as caught:
        cluster.apply(body, manager="gpuready", subresource="status", dry_run=True)
    assert {f.manager for f in caught.value.fields} == {"kubelet"}


def test_a_dry_run_writes_nothing(cluster: Client, namespace: str) -> None:
    assert cluster.apply(config_map(namespace), manager="gpuready", dry_run=True)["metadata"]["uid"]
    assert cluster.create(config_map(namespace, "b"), dry_run=True)["metadata"]["uid"]
    assert [cluster.get(ref(namespace, name)) for name in ("a", "b")] == [None, None]


# preconditions

# sentence, what is done to an object read before (its uid, its resourceVersion), what is said
STALE: list[tuple[str, Callable[[Client, str, str, str], Any], str]] = [
    (
        "merge patch, another object",
        lambda c, n, _u, _v: c.patch(ref(n), {"data": {"x": "2"}}, uid=ANOTHER),
        "deleted since",
    ),
    (
        "merge patch, another state",
        lambda c, n, u, v: c.patch(ref(n), {"data": {"x": "2"}}, uid=u, resource_version=v),
        "changed",
    ),
    (
        "JSON patch, another object",
        lambda c, n, _u, _v: c.patch(ref(n), [{"op": "add", "path": "/data/z", "value": "2"}], uid=ANOTHER),
        "deleted since",
    ),
    (
        "JSON patch, another state",
        lambda c, n, _u, v: c.patch(ref(n), [{"op": "add", "path": "/data/z", "value": "2"}], resource_version=v),
        "changed",
    ),
    ("replace, another state", lambda c, n, _u, v: c.replace(_with(config_map(n), resourceVersion=v)), "changed"),
    ("delete, another object", lambda c, n, _u, _v: c.delete(ref(n), uid=ANOTHER), "deleted since"),
    ("delete, another state", lambda c, n, u, v: c.delete(ref(n), uid=u, resource_version=v), "changed"),
    (
        "apply tied to an object that is gone",
        lambda c, n, u, _v: c.apply(_with(config_map(n, "gone"), uid=u), manager="gpuready"),
        "deleted since",
    ),
]  # fmt: skip


def _with(obj: Json, **meta: str) -> Json:
    return {**obj, "metadata": {**obj["metadata"], **meta}}


@pytest.mark.parametrize(("act", "said"), [c[1:] for c in STALE], ids=[c[0] for c in STALE])
def test_a_write_that_rests_on_an_older_look_is_refused(
    act: Callable[[Client, str, str, str], Any], said: str, cluster: Client, namespace: str
) -> None:
    old = cluster.create(config_map(namespace))["metadata"]
    now = cluster.patch(ref(namespace), {"data": {"y": "1"}})
    with pytest.raises(Conflict, match=said):
        act(cluster, namespace, old["uid"], old["resourceVersion"])
    assert cluster.get(ref(namespace)) == now
    assert cluster.get(ref(namespace, "gone")) is None


def test_a_write_that_rests_on_the_latest_look_is_taken(cluster: Client, namespace: str) -> None:
    one = cluster.create(config_map(namespace))["metadata"]
    two = cluster.patch(ref(namespace), {"data": {"y": "1"}}, uid=one["uid"], resource_version=one["resourceVersion"])[
        "metadata"
    ]
    three = cluster.patch(
        ref(namespace), [{"op": "remove", "path": "/data/x"}], uid=one["uid"], resource_version=two["resourceVersion"]
    )  # fmt: skip
    four = cluster.replace({**three, "data": {"z": "1"}})
    assert four["data"] == {"z": "1"}
    cluster.delete(ref(namespace), uid=one["uid"], resource_version=four["metadata"]["resourceVersion"])
    assert cluster.get(ref(namespace)) is None


# refusals in the server's own words

# sentence, what is done, class, what is said, what to do
REFUSALS: list[tuple[str, Callable[[Client, str], Any], type[ApiError], str, str]] = [
    (
        "create twice",
        lambda c, n: [c.create(config_map(n)) for _ in range(2)],
        AlreadyExists,
        "configmaps/a in namespace {ns} is there already",
        "",
    ),
    (
        "delete what is not there",
        lambda c, n: c.delete(ref(n)),
        NotFound,
        "configmaps/a in namespace {ns} is not there",
        "",
    ),
    (
        "create where there is no namespace",
        lambda c, _: c.create(config_map("no-such-namespace")),
        NotFound,
        "namespace no-such-namespace is not there",
        "",
    ),
    (
        "fields that are missing",
        lambda c, n: c.create(config_map(n) | {"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": {}}),
        Invalid,
        "the API server finds daemonsets.apps/a in namespace {ns} invalid: spec.template.metadata.labels: "
        "Invalid value: null: `selector` does not match template `labels`; "
        "spec.template.spec.containers: Required value",
        "correct these fields",
    ),
    (
        "a field that this version does not know",
        lambda c, n: c.apply({**config_map(n), "nope": 1}, manager="gpuready"),
        ApiError,
        "the API server does not take this form of configmaps/a in namespace {ns}: .nope: field not declared in schema",
        "correct the field, or check the version of the cluster",
    ),
    (
        "an object that is too large",
        lambda c, n: c.create(config_map(n, x="y" * (4 << 20))),
        ApiError,
        "configmaps/a in namespace {ns} is too large for the API server",
        "make it smaller: etcd takes 1.5 MiB an object",
    ),
    (
        "a kind of a group that is not installed",
        lambda c, _: c.get(Ref(api_version="nvidia.com/v1", kind="ClusterPolicy", name="x")),
        NotFound,
        "the cluster does not serve ClusterPolicy in nvidia.com/v1",
        "install its CustomResourceDefinition, or check the cluster's version",
    ),
    (
        "a version of a known kind that is not served",
        lambda c, n: c.get(Ref(api_version="apps/v9", kind="DaemonSet", name="x", namespace=n)),
        NotFound,
        "the cluster does not serve daemonsets.apps",
        "install what provides it (its CustomResourceDefinition), or check the cluster's version",
    ),
    ("the log of no pod", lambda c, n: c.logs(n, "p"), NotFound, "pods/p in namespace {ns} is not there", ""),
]  # fmt: skip


@pytest.mark.parametrize(("act", "kind", "what", "todo"), [c[1:] for c in REFUSALS], ids=[c[0] for c in REFUSALS])
def test_a_refusal(
    act: Callable[[Client, str], Any], kind: type[ApiError], what: str, todo: str, cluster: Client, namespace: str
) -> None:
    with pytest.raises(ApiError) as caught:
        act(cluster, namespace)
    assert (type(caught.value), caught.value.what, caught.value.next) == (kind, what.format(ns=namespace), todo)


def test_a_namespace_that_is_being_deleted(cluster: Client, namespace: str) -> None:
    cluster.create(_with(config_map(namespace), finalizers=["gpuready.dev/test"]))  # type: ignore[arg-type]
    cluster.delete(ns(namespace))
    try:
        cluster.wait_for(ns(namespace), lambda o: o is not None and o["status"]["phase"] == "Terminating", timeout=10)
        with pytest.raises(Forbidden) as caught:
            cluster.apply(config_map(namespace, "late"), manager="gpuready")
        assert str(caught.value) == (
            f"namespace {namespace} is being deleted, so configmaps/late in namespace {namespace} cannot be created; "
            f"wait until it is gone (kubectl get ns {namespace} shows what holds it), then run this again"
        )
        assert caught.value.causes == (
            Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace"),
        )
    finally:
        cluster.patch(ref(namespace), {"metadata": {"finalizers": None}})
    assert cluster.wait_for(ns(namespace), lambda o: o is None, timeout=60) is None


def test_a_policy_that_denies_is_named_with_its_words(cluster: Client, namespace: str) -> None:
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": namespace},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
                ]
            },
            "validations": [{"expression": "object.metadata.name != 'no'", "message": "that name is ours"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": namespace},
        "spec": {
            "policyName": namespace,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}},
        },
    }
    made = [cluster.create(policy), cluster.create(binding)]
    try:
        error = _until_refused(lambda: cluster.create(config_map(namespace, "no"), dry_run=True))
        assert (type(error), error.what, error.next) == (
            Invalid,
            f"ValidatingAdmissionPolicy {namespace} (binding {namespace}) denies create configmaps/no in namespace "
            f"{namespace}: that name is ours",
            "meet the policy, or ask its owner for an exception",
        )
    finally:
        _remove(cluster, made)


def test_a_webhook_that_does_not_answer_is_named(cluster: Client, namespace: str) -> None:
    hook = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": namespace},
        "webhooks": [
            {
                "name": "hook.gpuready.dev",
                "clientConfig": {"service": {"name": "nobody", "namespace": namespace}},
                "rules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["configmaps"]}
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": 1,
            }
        ],
    }
    made = [cluster.create(hook)]
    try:
        error = _until_refused(lambda: cluster.create(config_map(namespace)))
        assert (error.code, error.what, error.maybe_done) == (
            500,
            f"admission webhook hook.gpuready.dev does not answer, so the API server refuses create configmaps/a in "
            f"namespace {namespace}: failed to call webhook: "
            f'Post "https://nobody.{namespace}.svc:443/?timeout=1s": service "nobody" not found',
            False,
        )
    finally:
        _remove(cluster, made)
    assert cluster.get(ref(namespace)) is None


def _until_refused(act: Callable[[], Any]) -> ApiError:
    """A new policy or webhook takes the API server a moment to see; each try before that must leave nothing."""
    for _ in range(100):
        try:
            done = act()
        except ApiError as error:
            return error
        assert done, "a create answers with an object"
        time.sleep(0.1)
    raise AssertionError("never refused")


def _remove(cluster: Client, made: list[Json]) -> None:
    for obj in made:
        cluster.delete(Ref(api_version=obj["apiVersion"], kind=obj["kind"], name=obj["metadata"]["name"]))


def test_pod_security_and_quota_are_named(cluster: Client, namespace: str) -> None:
    cluster.patch(ns(namespace), {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "baseline"}}})
    pod = _pod(namespace, "true")
    pod["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    with pytest.raises(Forbidden) as caught:
        cluster.create(pod)
    assert caught.value.what == (
        f'Pod Security baseline:latest forbids pods/p in namespace {namespace}: privileged (container "c" must not set '
        "securityContext.privileged=true)"
    )
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": namespace},
        "spec": {"hard": {"count/configmaps": "1"}},
    }
    cluster.create(quota)
    # the controller counts kube-root-ca.crt before the quota holds
    counted = ref(namespace, "none", "ResourceQuota")
    cluster.wait_for(counted, lambda o: bool(o and o.get("status", {}).get("used")), timeout=30)
    with pytest.raises(Forbidden) as caught:
        cluster.create(config_map(namespace))
    assert (caught.value.what, caught.value.next) == (
        f"quota none forbids configmaps/a in namespace {namespace}: requested: count/configmaps=1, "
        "used: count/configmaps=1, limited: count/configmaps=1",
        "raise the quota, or free what it counts",
    )


# who we are


def test_impersonation_really_impersonates(testbed: Testbed, cluster: Client) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview", "metadata": {"name": ""}}
    with as_user(
        testbed, impersonate="alice", as_uid="7", as_groups=("g1", "g2"), as_user_extra={"a/b": ("c", "d")}
    ) as alice:
        with pytest.raises(Forbidden) as caught:
            alice.list_objects("v1", "Node")
        assert (caught.value.what, caught.value.next) == ("alice may not list nodes cluster-wide", GRANT)
        told = alice.create(review)["status"]["userInfo"]
    assert told == {
        "username": "alice", "uid": "7", "groups": ["g1", "g2", "system:authenticated"], "extra": {"a/b": ["c", "d"]},
    }  # fmt: skip
    assert [n["kind"] for n in cluster.list_objects("v1", "Node")] == ["Node"] * len(testbed.nodes)


def test_can_i_is_what_then_happens(testbed: Testbed, cluster: Client, namespace: str) -> None:
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": namespace},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["get"]}],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "r", "namespace": namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}],
    }
    for obj in (role, binding, config_map(namespace), config_map(namespace, "b")):
        cluster.create(obj)
    with as_user(testbed, impersonate="alice") as alice:
        deadline = time.monotonic() + 10
        while not alice.can_i("get", "configmaps", namespace=namespace, name="a").allowed:
            assert time.monotonic() < deadline, "the new role is never seen"
        allowed = {}
        for name in ("a", "b"):
            try:
                allowed[name] = alice.get(ref(namespace, name)) is not None
            except Forbidden:
                allowed[name] = False
        asked = {n: alice.can_i("get", "configmaps", namespace=namespace, name=n).allowed for n in ("a", "b")}
        anywhere = alice.can_i("get", "configmaps").allowed
    assert (asked, allowed, anywhere) == ({"a": True, "b": False}, {"a": True, "b": False}, False)
    assert cluster.can_i("*", "*", group="*").allowed


def test_a_token_that_is_not_known(testbed: Testbed) -> None:
    none = {"client_certificate": "", "client_certificate_data": "", "client_key": "", "client_key_data": ""}
    with as_user(testbed, **none, token="no-such-token") as nobody, pytest.raises(Unauthorized) as caught:
        nobody.version()
    user = nobody.connection.user_name
    assert str(caught.value) == (
        f"{nobody.server} does not accept the credentials of user {user} (token, {testbed.kubeconfig}); "
        "log in again, or get a new kubeconfig"
    )


# lists and watches


def test_a_paged_list_equals_an_unpaged_one(cluster: Client, namespace: str) -> None:
    for i in range(23):
        cluster.create(config_map(namespace, f"m{i:02}"))
    whole = cluster.list_objects("v1", "ConfigMap", namespace=namespace)
    pages = list(cluster.list_pages("v1", "ConfigMap", Named, namespace=namespace, limit=5))
    paged = [(o.metadata.name, o.metadata.resource_version) for page in pages for o in page.items]
    assert paged == [(o["metadata"]["name"], o["metadata"]["resourceVersion"]) for o in whole]
    assert [len(page.items) for page in pages] == [5, 5, 5, 5, 4]  # kube-root-ca.crt is one of them
    assert {(page.resource_version, page.consistent) for page in pages} == {(pages[0].resource_version, True)}
    assert whole[0] == cluster.get(ref(namespace, whole[0]["metadata"]["name"]))
    raw = [json.loads(page)["kind"] for page in cluster.pages(f"/api/v1/namespaces/{namespace}/configmaps")]
    assert raw == ["ConfigMapList"]


def test_wait_for_returns_the_last_state_when_time_is_up(cluster: Client, namespace: str) -> None:
    began = time.monotonic()
    assert cluster.wait_for(ref(namespace), lambda o: o is not None, timeout=2) is None
    assert 1.9 < time.monotonic() - began < 6


def _has(value: str, obj: Json | None) -> bool:
    return obj is not None and obj["data"]["x"] == value


def test_wait_for_sees_a_change_at_once(cluster: Client, namespace: str) -> None:
    """No polling: the floor is the API server's own delivery."""
    cluster.create(config_map(namespace))
    delays: list[float] = []
    for i in range(5):
        written: list[float] = []

        def write(i: int = i, written: list[float] = written) -> None:
            time.sleep(0.3)
            cluster.patch(ref(namespace), {"data": {"x": f"v{i}"}})
            written.append(time.monotonic())

        thread = threading.Thread(target=write)
        thread.start()
        cluster.wait_for(ref(namespace), functools.partial(_has, f"v{i}"), timeout=20)
        seen = time.monotonic()
        thread.join()
        delays.append(seen - written[0])
    assert sorted(delays)[2] < 0.5


# pods


def _pod(namespace: str, script: str) -> Json:
    container = {"name": "c", "image": BUSYBOX, "command": ["/bin/sh", "-c", script]}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace}, "spec": spec}


def _phase(obj: Json | None) -> str:
    return str(obj["status"].get("phase")) if obj else ""


def _account(cluster: Client, namespace: str) -> None:
    cluster.wait_for(ref(namespace, "default", "ServiceAccount"), lambda o: o is not None, timeout=30)


def test_logs(cluster: Client, namespace: str) -> None:
    _account(cluster, namespace)
    pod = cluster.create(_pod(namespace, "for i in 1 2 3 4; do echo line $i; done; printf '\\377 end'"))
    ended = cluster.wait_for(ref(namespace, "p", "Pod"), lambda o: _phase(o) == "Succeeded", timeout=60)
    assert (_phase(ended), ended and ended["metadata"]["uid"]) == ("Succeeded", pod["metadata"]["uid"])
    whole = "line 1\nline 2\nline 3\nline 4\n\ufffd end"
    assert cluster.logs(namespace, "p") == whole
    assert cluster.logs(namespace, "p", container="c", limit=10) == whole[:10]
    assert cluster.logs(namespace, "p", tail=2) == "line 4\n\ufffd end"
    with pytest.raises(ApiError) as caught:
        cluster.logs(namespace, "p", container="other")
    assert caught.value.message == "container other is not valid for pod p"
    with pytest.raises(ApiError) as caught:
        cluster.logs(namespace, "p", previous=True)
    assert caught.value.message == 'previous terminated container "c" in pod "p" not found'


def test_a_pod_answers_through_the_api_server(cluster: Client, namespace: str) -> None:
    _account(cluster, namespace)
    cluster.create(_pod(namespace, "echo hello > /tmp/index; httpd -f -p 8080 -h /tmp"))
    cluster.wait_for(ref(namespace, "p", "Pod"), lambda o: _phase(o) == "Running", timeout=60)
    deadline = time.monotonic() + 10
    while True:
        try:
            assert cluster.proxy_get(namespace, "p", 8080, "/index") == b"hello\n"
            break
        except ApiError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    with pytest.raises(ApiError) as caught:
        cluster.proxy_get(namespace, "p", 8080, "/no")
    assert (caught.value.code, caught.value.what.partition(":")[0]) == (
        404,
        f"pod {namespace}/p port 8080 answered 404",
    )
    with pytest.raises(ApiError) as caught:
        cluster.proxy_get(namespace, "p", 8081, "/")
    assert (caught.value.code, "connection refused" in caught.value.message) == (503, True)


# last, because kubelet and controllers take a while to come back after the API server has been restarted


def test_a_list_goes_on_when_the_data_store_has_forgotten_its_beginning(
    testbed: Testbed, cluster: Client, namespace: str
) -> None:
    for i in range(9):
        cluster.create(config_map(namespace, f"m{i}"))
    pages = cluster.list_pages("v1", "ConfigMap", Named, namespace=namespace, limit=4)
    first = next(pages)
    cluster.create(config_map(namespace, "m9"))
    _forget(testbed, cluster)
    rest = list(pages)
    names = [o.metadata.name for page in (first, *rest) for o in page.items]
    assert names == ["kube-root-ca.crt", *[f"m{i}" for i in range(10)]]
    assert [page.consistent for page in (first, *rest)] == [True, False, False]
    assert {page.resource_version for page in rest} == {first.resource_version}


def _forget(testbed: Testbed, cluster: Client) -> None:
    """etcd drops all that was before now, as the API server has it do every five minutes; a restart empties the API
    server's own cache, which remembers a while longer."""
    revision = next(iter(cluster.list_pages("v1", "Namespace", Named))).resource_version
    body = json.dumps({"revision": revision, "physical": True})
    url = "http://127.0.0.1:2379/v3/kv/compaction"
    done = testbed.run(
        ["wget", "-q", "-O", "-", "--header=Content-Type: application/json", f"--post-data={body}", url],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    testbed.stop_api()
    testbed.start_api()


def test_a_watch_is_resumed_and_told_when_history_is_gone(testbed: Testbed, cluster: Client, namespace: str) -> None:
    one = cluster.create(config_map(namespace))
    begin = one["metadata"]["resourceVersion"]
    cluster.patch(ref(namespace), {"data": {"x": "2"}})
    cluster.delete(ref(namespace))

    def events(version: str) -> list[tuple[str, str]]:
        seen = cluster.watch(
            "v1", "ConfigMap", Named, resource_version=version, timeout=2, namespace=namespace, fields="metadata.name=a"
        )
        return [(e.type, e.resource_version) for e in seen if e.type != "BOOKMARK"]

    all_of_it = events(begin)
    assert [kind for kind, _ in all_of_it] == ["MODIFIED", "DELETED"]
    assert events(all_of_it[0][1]) == all_of_it[1:]
    assert events(all_of_it[1][1]) == []
    _forget(testbed, cluster)
    with pytest.raises(Gone):
        events(begin)


def test_wait_for_outlives_a_restart_of_the_api_server(testbed: Testbed, cluster: Client, namespace: str) -> None:
    cluster.create(config_map(namespace))
    found: list[Json | None] = []

    def done(obj: Json | None) -> bool:
        return obj is not None and obj["data"].get("x") == "done"

    waiting = threading.Thread(
        target=lambda: found.append(cluster.wait_for(ref(namespace), done, timeout=90)), daemon=True
    )
    waiting.start()
    time.sleep(1)
    testbed.stop_api()
    time.sleep(1)
    testbed.start_api()
    with connect(testbed.kubeconfig) as other:
        other.delete(ref(namespace))
        last = other.create(config_map(namespace, x="done"))
    waiting.join(60)
    assert found == [last]
