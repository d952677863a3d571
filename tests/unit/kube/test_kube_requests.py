"""What each call sends, and what is never sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from kube_client_of import NODE, OK, POD
from kube_double import Answer, Server, status

from gpuready.adapters.kube import Client, Version
from gpuready.model import ports
from gpuready.model.errors import NotFound, UserError
from gpuready.model.plan import Ref


def test_the_client_is_what_the_engine_asks_for(client: Client) -> None:
    cluster: ports.Cluster = client
    reader: ports.Reader = client
    assert (cluster, reader) == (client, client)


# sentence, what is called, method, path, query, content type, body
REQUESTS: list[tuple[str, Callable[[Client], Any], str, str, str, str, Any]] = [
    ("get", lambda c: c.get(POD), "GET", "/api/v1/namespaces/ns/pods/p", "", "", None),
    ("get, cluster-scoped", lambda c: c.get(NODE), "GET", "/api/v1/nodes/n", "", "", None),
    (
        "create",
        lambda c: c.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "x-", "namespace": "ns"}}),
        "POST",
        "/api/v1/namespaces/ns/pods",
        "",
        "application/json",
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "x-", "namespace": "ns"}},
    ),
    (
        "server-side apply of a status, as a dry run, forced",
        lambda c: c.apply(
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {}},
            manager="gpuready", force=True, dry_run=True, subresource="status",
        ),
        "PATCH",
        "/api/v1/nodes/n/status",
        "dryRun=All&force=true&fieldManager=gpuready",
        "application/apply-patch+yaml",
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}, "status": {}},
    ),
    (
        "a merge patch tied to an object and its state",
        lambda c: c.patch(NODE, {"metadata": {"labels": {"a": None}}}, uid="U", resource_version="7", manager="m"),
        "PATCH",
        "/api/v1/nodes/n",
        "fieldManager=m",
        "application/merge-patch+json",
        {"metadata": {"labels": {"a": None}, "uid": "U", "resourceVersion": "7"}},
    ),
    (
        "a JSON patch tied to an object and its state",
        lambda c: c.patch(NODE, [{"op": "remove", "path": "/a"}], uid="U", resource_version="7"),
        "PATCH",
        "/api/v1/nodes/n",
        "",
        "application/json-patch+json",
        [
            {"op": "replace", "path": "/metadata/uid", "value": "U"},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "remove", "path": "/a"},
        ],
    ),
    (
        "replace",
        lambda c: c.replace({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "resourceVersion": "7"}}),
        "PUT",
        "/api/v1/nodes/n",
        "",
        "application/json",
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "resourceVersion": "7"}},
    ),
    (
        "delete of this very object",
        lambda c: c.delete(POD, uid="U", resource_version="7", grace=0, propagation="Foreground"),
        "DELETE",
        "/api/v1/namespaces/ns/pods/p",
        "",
        "application/json",
        {
            "kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Foreground", "gracePeriodSeconds": 0,
            "preconditions": {"uid": "U", "resourceVersion": "7"},
        },
    ),
    (
        "list with selectors",
        lambda c: c.list_objects("apps/v1", "DaemonSet", labels="a=b,c", fields="metadata.name=x"),
        "GET",
        "/apis/apps/v1/daemonsets",
        "labelSelector=a%3Db%2Cc&fieldSelector=metadata.name%3Dx&limit=500",
        "",
        None,
    ),
    (
        "logs",
        lambda c: c.logs("ns", "p", container="main", previous=True, limit=100, tail=5),
        "GET",
        "/api/v1/namespaces/ns/pods/p/log",
        "container=main&previous=true&tailLines=5&limitBytes=100",
        "",
        None,
    ),
    (
        "a pod's own port",
        lambda c: c.proxy_get("ns", "p", 9400, "/metrics?a=b"),
        "GET",
        "/api/v1/namespaces/ns/pods/p:9400/proxy/metrics",
        "a=b",
        "",
        None,
    ),
    ("any path", lambda c: c.get_raw("/readyz", {"verbose": ""}), "GET", "/readyz", "verbose=", "", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "method", "path", "query", "content_type", "body"), [c[1:] for c in REQUESTS], ids=[c[0] for c in REQUESTS]
)
def test_what_is_sent(
    call: Callable[[Client], Any],
    method: str,
    path: str,
    query: str,
    content_type: str,
    body: Any,
    client: Client,
    server: Server,
) -> None:
    call(client)
    (asked,) = server.asked
    sent = json.loads(asked.body) if asked.body else None
    assert (asked.method, asked.path, asked.query, asked.header("content-type"), sent) == (
        method, path, query, content_type, body,
    )  # fmt: skip
    assert (asked.header("authorization"), asked.header("user-agent")) == ("Bearer tok", "gpuready")


def test_can_i(client: Client, server: Server) -> None:
    server.replies = [Answer(201, {"status": {"allowed": False, "reason": "no RBAC policy matched"}})]
    answer = client.can_i("patch", "nodes", name="n", subresource="status")
    assert tuple(answer) == (False, "no RBAC policy matched")
    assert json.loads(server.asked[0].body)["spec"] == {
        "resourceAttributes": {"verb": "patch", "resource": "nodes", "name": "n", "subresource": "status"}
    }


# sentence, what /version answers, what is understood
VERSIONS: list[tuple[str, dict[str, str], Version]] = [
    ("upstream", {"gitVersion": "v1.34.4", "major": "1", "minor": "34"}, Version("v1.34.4", 1, 34)),
    ("a plus", {"gitVersion": "v1.31.2-gke.1", "major": "1", "minor": "31+"}, Version("v1.31.2-gke.1", 1, 31)),
    ("nothing but the name", {"gitVersion": "v9"}, Version("v9", 0, 0)),
]


@pytest.mark.parametrize(("told", "expected"), [c[1:] for c in VERSIONS], ids=[c[0] for c in VERSIONS])
def test_version(told: dict[str, str], expected: Version, client: Client, server: Server) -> None:
    server.replies = [Answer(200, told)]
    assert client.version() == expected


def test_kinds_outside_the_table_are_discovered_once(client: Client, server: Server) -> None:
    served = {
        "kind": "APIResourceList",
        "resources": [
            {"name": "clusterpolicies", "kind": "ClusterPolicy", "namespaced": False},
            {"name": "clusterpolicies/status", "kind": "ClusterPolicy", "namespaced": False},
            {"name": "../../secrets", "kind": "Trick", "namespaced": True},
        ],
    }
    server.replies = [Answer(200, served), OK]
    ref = Ref(api_version="nvidia.com/v1", kind="ClusterPolicy", name="c")
    client.get(ref)
    client.get(ref)
    assert [a.path for a in server.asked] == ["/apis/nvidia.com/v1"] + 2 * ["/apis/nvidia.com/v1/clusterpolicies/c"]
    server.replies = [Answer(200, served)]
    with pytest.raises(NotFound) as caught:
        client.get(Ref(api_version="nvidia.com/v1", kind="Trick", name="c", namespace="ns"))
    assert caught.value.what == "the cluster does not serve Trick in nvidia.com/v1"


def test_a_group_that_is_not_served(client: Client, server: Server) -> None:
    server.replies = [Answer(404, b"404 page not found\n", {"Content-Type": "text/plain"})]
    with pytest.raises(NotFound) as caught:
        client.get(Ref(api_version="nvidia.com/v1", kind="ClusterPolicy", name="c"))
    assert (caught.value.what, caught.value.next) == (
        "the cluster does not serve ClusterPolicy in nvidia.com/v1",
        "install its CustomResourceDefinition, or check the cluster's version",
    )


def test_get_tells_an_absent_object_from_an_absent_api(client: Client, server: Server) -> None:
    server.replies = [status(404, "NotFound", 'pods "p" not found', name="p", kind="pods")]
    assert client.get(POD) is None
    server.replies = [status(404, "NotFound", "the server could not find the requested resource")]
    with pytest.raises(NotFound, match="the cluster does not serve resourceslices"):
        client.get(Ref(api_version="resource.k8s.io/v1", kind="ResourceSlice", name="s"))


# sentence, what is called, what is said
REFUSED_HERE: list[tuple[str, Callable[[Client], Any], str]] = [
    ("a path for a name", lambda c: c.get(Ref(api_version="v1", kind="Node", name="../p")), "'../p' is no name"),
    ("a name that is a parent", lambda c: c.get(Ref(api_version="v1", kind="Node", name="..")), "'..' is no name"),
    ("an encoded slash", lambda c: c.get(Ref(api_version="v1", kind="Node", name="a%2fb")), "'a%2fb' is no name"),
    ("a hostile pod", lambda c: c.logs("ns", "p/../../x"), "'p/../../x' is no name"),
    ("no namespace", lambda c: c.get(Ref(api_version="v1", kind="Pod", name="p")), "Pod p names no namespace"),
    ("no name", lambda c: c.get(Ref(api_version="v1", kind="Node", name="")), "Node (no name) names no name"),
    ("an apiVersion that is a path", lambda c: c.list_objects("x/../v1", "Pod"), "'x/../v1' is no apiVersion"),
    ("an object without kind", lambda c: c.create({"apiVersion": "v1", "metadata": {}}), "an object lacks apiVersion"),
    ("metadata that is none", lambda c: c.create({"apiVersion": "v1", "kind": "P", "metadata": 1}), "an object lacks"),
    ("another host", lambda c: c.get_raw("https://evil.example/"), "'https://evil.example/' is no path"),
    (
        "replace without a state",
        lambda c: c.replace({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}}),
        "node/n carries no resourceVersion",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "said"), [c[1:] for c in REFUSED_HERE], ids=[c[0] for c in REFUSED_HERE])
def test_what_is_never_sent(call: Callable[[Client], Any], said: str, client: Client, server: Server) -> None:
    with pytest.raises(UserError) as caught:
        call(client)
    assert caught.value.what.startswith(said)
    assert server.asked == []
