"""Objects and users that the tests of the Kubernetes client work with on a real API server."""

from __future__ import annotations

from typing import Any

import msgspec

from gpuready.adapters.kube import Client
from gpuready.adapters.kube_connection import choose
from gpuready.adapters.kube_http import Transport
from gpuready.model.plan import Ref
from testbed import Testbed
from testbed.cluster import BUSYBOX

Json = dict[str, Any]


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


def with_meta(obj: Json, **meta: str) -> Json:
    return {**obj, "metadata": {**obj["metadata"], **meta}}


def pod(namespace: str, script: str) -> Json:
    container = {"name": "c", "image": BUSYBOX, "command": ["/bin/sh", "-c", script]}
    spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": namespace}, "spec": spec}


def phase(obj: Json | None) -> str:
    return str(obj["status"].get("phase")) if obj else ""


def account(cluster: Client, namespace: str) -> None:
    """Wait for the service account that pods of a new namespace need."""
    cluster.wait_for(ref(namespace, "default", "ServiceAccount"), lambda o: o is not None, timeout=30)
