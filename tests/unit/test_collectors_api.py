"""What the API does not know, does not allow, breaks off or garbles: none, or Unknown with the reason."""

from __future__ import annotations

from typing import Any

import pytest
from collectors_double import BY_FIELD, Answers, fact, items

from gpuready.engine.gather import gather
from gpuready.model.errors import Forbidden, Unreachable
from gpuready.model.facts.cluster import (
    ClusterFacts,
    Identity,
    Node,
    Permission,
)
from gpuready.model.unknown import Unknown

VALIDATING = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"


@pytest.mark.parametrize(
    ("field", "none"),
    [("stacks", ()), ("dra", ()), ("own_namespace", None), ("kubeadm", False), ("crds", ()), ("features", ())],
)
def test_what_the_api_does_not_know_is_none(field: str, none: Any) -> None:
    assert fact(field, {}) == none


def test_kubeadm_is_told_by_its_config_map() -> None:
    path = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"
    assert fact("kubeadm", {path: {"metadata": {"name": "kubeadm-config"}, "data": {}}}) is True


def test_a_group_that_serves_none_of_the_resources_has_no_object() -> None:
    assert (
        fact(
            "stacks",
            {
                "/apis/nvidia.com": {"versions": [{"version": "v2"}]},
                "/apis/nvidia.com/v2": {"resources": [{"name": "gpuclaims"}]},
            },
        )
        == ()
    )


FORBIDDEN = Forbidden("listing is forbidden", "gpuready rbac up", code=403)
LISTS = ["nodes", "pods", "daemonsets", "webhooks", "events", "preemptions", "quotas", "namespaces", "runtime_classes"]
PATHS = {
    "nodes": "/api/v1/nodes",
    "pods": "/api/v1/pods",
    "daemonsets": "/apis/apps/v1/daemonsets",
    "stacks": "/apis/nvidia.com",
    "dra": "/apis/resource.k8s.io",
    "own_namespace": "/api/v1/namespaces/gpuready-system",
    "kubeadm": "/api/v1/namespaces/kube-system/configmaps/kubeadm-config",
    "webhooks": VALIDATING,
    "events": "/api/v1/events",
    "preemptions": "/api/v1/events",
    "quotas": "/api/v1/resourcequotas",
    "namespaces": "/api/v1/namespaces",
    "runtime_classes": "/apis/node.k8s.io/v1/runtimeclasses",
    "features": "/apis/nfd.k8s-sigs.io",
    "crds": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/clusterpolicies.nvidia.com",
}


@pytest.mark.parametrize("field", BY_FIELD)
def test_what_may_not_be_read_is_unknown_and_says_what_to_do(field: str) -> None:
    assert fact(field, {PATHS[field]: FORBIDDEN}) == Unknown("listing is forbidden", ask="gpuready rbac up")


@pytest.mark.parametrize("field", LISTS)
def test_a_list_that_breaks_off_is_unknown_and_not_a_short_list(field: str) -> None:
    broken = Unreachable("https://10.0.0.5:6443 does not answer")
    assert fact(field, {PATHS[field]: [items(), broken]}) == Unknown("https://10.0.0.5:6443 does not answer")


@pytest.mark.parametrize("field", ["nodes", "pods", "daemonsets"])
def test_null_is_how_older_servers_write_an_empty_list(field: str) -> None:
    assert fact(field, {PATHS[field]: b'{"items":null}'}) == ()


@pytest.mark.parametrize("field", LISTS)
def test_a_list_that_must_be_there_and_is_not_is_unknown(field: str) -> None:
    assert fact(field, {}) == Unknown(f"{PATHS[field]} is not there")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>sign in</html>",
        b'{"kind":"Status"}',
        b'{"items":[7]}',
        b'{"items":[{"metadata":{}}]}',
        b'{"items":[{"metadata":{"name":"\xff"}}]}',
        b'{"items":[' + b"[" * 100_000,
        b'{"items":[{"metadata":{"name":"n"},"status":{"capacity":{"nvidia.com/gpu":"many"}}}]}',
        b'{"items":[{"metadata":{"name":"n"},"status":{"capacity":{"nvidia.com/gpu":"-1"}}}]}',
        b'{"items":[{"metadata":{"name":"n"},"status":{"capacity":{"nvidia.com/gpu":"1kk"}}}]}',
        b'{"items":[{"metadata":{"name":"n"},"status":{"capacity":{"nvidia.com/gpu":"' + b"9" * 5000 + b'"}}}]}',
    ],
    ids=lambda answer: answer[:60].decode(errors="replace"),
)
def test_an_answer_that_is_no_list_of_nodes_is_unknown(answer: bytes) -> None:
    nodes = fact("nodes", {"/api/v1/nodes": answer})
    assert isinstance(nodes, Unknown)
    assert nodes.why.startswith("/api/v1/nodes: the answer is not what the API documents: ")
    assert len(nodes.why) <= 300


def test_one_collector_that_fails_costs_no_other_field() -> None:
    table: dict[str, Any] = {
        "/api/v1/nodes": items({"metadata": {"name": "n", "uid": "u"}}),
        "/api/v1/pods": FORBIDDEN,
        "/apis/apps/v1/daemonsets": items(),
        VALIDATING: items(),
        MUTATING: b"garbage",
    }
    identity = Identity(uid="7c1e", server="https://10.0.0.5:6443")
    permissions = (Permission(verb="list", group="", resource="nodes", allowed=True),)
    facts = gather(Answers(table), identity, permissions)
    assert isinstance(facts.webhooks, Unknown)
    assert facts == ClusterFacts(
        identity=identity,
        permissions=permissions,
        nodes=(Node(name="n", uid="u"),),
        pods=Unknown("listing is forbidden", ask="gpuready rbac up"),
        daemonsets=(),
        stacks=(),
        own_namespace=None,
        kubeadm=False,
        webhooks=facts.webhooks,
        dra=(),
    )
