"""Refusals of a real API server: the sentences that a user reads are made from its own words; and who may do what."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from gpuready.adapters.kube import Client
from gpuready.model.errors import (
    AlreadyExists,
    ApiError,
    Cause,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
)
from gpuready.model.plan import Ref
from testbed import Testbed
from tests.cluster.kube_objects import Json, as_user, config_map, ns, pod, ref, with_meta

pytestmark = pytest.mark.cluster

GRANT = "`gpuready rbac VERB` prints the rights that a verb needs; an administrator of the cluster can grant them"


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
        lambda c, n: c.create(config_map(n) | {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{}]}}),
        Invalid,
        "the API server finds pods/a in namespace {ns} invalid: spec.containers[0].name: Required value; "
        "spec.containers[0].image: Required value",
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
    cluster.create(with_meta(config_map(namespace), finalizers=["gpuready.dev/test"]))  # type: ignore[arg-type]
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
    privileged = pod(namespace, "true")
    privileged["spec"]["containers"][0]["securityContext"] = {"privileged": True}
    with pytest.raises(Forbidden) as caught:
        cluster.create(privileged)
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
