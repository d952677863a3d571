"""What our Kubernetes client promises, held against a real API server."""

from __future__ import annotations

import functools
import json
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gpuready.adapters.kube import Client, connect
from gpuready.adapters.kube_resources import BUILT_IN
from gpuready.model.errors import (
    ApiError,
    Conflict,
    FieldConflict,
    Gone,
    TimedOut,
)
from testbed import Testbed
from tests.cluster.kube_objects import Json, account, config_map, phase, pod, ref, with_meta

pytestmark = pytest.mark.cluster

ANOTHER = str(uuid.UUID(int=0))


class Meta(msgspec.Struct, rename="camel"):
    name: str
    resource_version: str


class Named(msgspec.Struct):
    metadata: Meta


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
    ("replace, another state", lambda c, n, _u, v: c.replace(with_meta(config_map(n), resourceVersion=v)), "changed"),
    ("delete, another object", lambda c, n, _u, _v: c.delete(ref(n), uid=ANOTHER), "deleted since"),
    ("delete, another state", lambda c, n, u, v: c.delete(ref(n), uid=u, resource_version=v), "changed"),
    (
        "apply tied to an object that is gone",
        lambda c, n, u, _v: c.apply(with_meta(config_map(n, "gone"), uid=u), manager="gpuready"),
        "deleted since",
    ),
]  # fmt: skip


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


def test_wait_for_says_when_time_is_up(cluster: Client, namespace: str) -> None:
    began = time.monotonic()
    with pytest.raises(TimedOut):
        cluster.wait_for(ref(namespace), lambda o: o is not None, timeout=2)
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


def test_logs(cluster: Client, namespace: str) -> None:
    account(cluster, namespace)
    made = cluster.create(pod(namespace, "for i in 1 2 3 4; do echo line $i; done; printf '\\377 end'"))
    ended = cluster.wait_for(ref(namespace, "p", "Pod"), lambda o: phase(o) == "Succeeded", timeout=60)
    assert (phase(ended), ended and ended["metadata"]["uid"]) == ("Succeeded", made["metadata"]["uid"])
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
    account(cluster, namespace)
    cluster.create(pod(namespace, "echo hello > /tmp/index; httpd -f -p 8080 -h /tmp"))
    cluster.wait_for(ref(namespace, "p", "Pod"), lambda o: phase(o) == "Running", timeout=60)
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
