"""Requests as values: what is sent for each verb, built without sending anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from gpuready.adapters.kube_http import Call
from gpuready.adapters.kube_resources import Resource, path_of, segment
from gpuready.model.errors import Target, UserError
from gpuready.model.plan import Ref

Patch = Mapping[str, Any] | Sequence[Mapping[str, Any]]

APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
LOG_LIMIT = 1 << 20
PROXY_LIMIT = 64 << 20
POD_SECONDS = 10.0  # a pod that has not answered by then hangs
PODS = Resource("", "v1", "pods", True)


def reference(obj: Mapping[str, Any]) -> Ref:
    """Like model.plan.ref_of, for objects that may be anything; a name may be missing (generateName)."""
    meta = obj.get("metadata")
    words = [obj.get("apiVersion"), obj.get("kind")]
    words += [meta.get("name", ""), meta.get("namespace", "")] if isinstance(meta, Mapping) else [None, None]
    if not all(isinstance(word, str) for word in words) or not words[0] or not words[1]:
        raise UserError("an object lacks apiVersion, kind or metadata", "add them")
    api_version, kind, name, namespace = (str(word) for word in words)
    return Ref(api_version=api_version, kind=kind, name=name, namespace=namespace)


def object_path(resource: Resource, ref: Ref, subresource: str = "") -> str:
    if not ref.name or (resource.namespaced and not ref.namespace):
        missing = "namespace" if ref.name else "name"
        raise UserError(f"{ref.kind} {ref.name or '(no name)'} names no {missing}", f"add metadata.{missing}")
    return path_of(resource, ref.namespace, ref.name, *([subresource] if subresource else []))


def target_of(verb: str, resource: Resource, ref: Ref, subresource: str = "") -> Target:
    what = f"{resource.qualified}/{subresource}" if subresource else resource.qualified
    return Target(verb, what, ref.name, ref.namespace if resource.namespaced else "")


def get(resource: Resource, ref: Ref) -> Call:
    return Call(method="GET", path=object_path(resource, ref), target=target_of("get", resource, ref), repeatable=True)


def create(resource: Resource, ref: Ref, obj: Mapping[str, Any], *, dry_run: bool, manager: str) -> Call:
    if resource.namespaced and not ref.namespace:
        raise UserError(f"{ref.kind} {ref.name} names no namespace", "add metadata.namespace")
    return Call(
        method="POST",
        path=path_of(resource, ref.namespace),
        target=target_of("create", resource, ref),
        query=_options(dry_run=dry_run, fieldManager=manager),
        body=msgspec.json.encode(obj),
        repeatable=dry_run,
    )


def apply(
    resource: Resource, obj: Mapping[str, Any], *, manager: str, force: bool, dry_run: bool, subresource: str
) -> Call:
    """Applying twice does what applying once does, unless a resourceVersion ties it to one state."""
    ref = reference(obj)
    return Call(
        method="PATCH",
        path=object_path(resource, ref, subresource),
        target=target_of("patch", resource, ref, subresource),
        query=_options(dry_run=dry_run, fieldManager=manager, force=force),
        body=msgspec.json.encode(obj),
        content_type=APPLY_PATCH,
        repeatable=dry_run or not obj["metadata"].get("resourceVersion"),
    )


def patch(
    resource: Resource,
    ref: Ref,
    body: Patch,
    *,
    subresource: str,
    uid: str,
    resource_version: str,
    manager: str,
    dry_run: bool,
) -> Call:
    content_type, guarded = _guarded(body, uid, resource_version)
    return Call(
        method="PATCH",
        path=object_path(resource, ref, subresource),
        target=target_of("patch", resource, ref, subresource),
        query=_options(dry_run=dry_run, fieldManager=manager),
        body=msgspec.json.encode(guarded),
        content_type=content_type,
        repeatable=dry_run,
    )


def replace(resource: Resource, obj: Mapping[str, Any], *, subresource: str, manager: str) -> Call:
    ref = reference(obj)
    if not obj["metadata"].get("resourceVersion"):
        raise UserError(f"{ref} carries no resourceVersion to replace", "read it first")
    return Call(
        method="PUT",
        path=object_path(resource, ref, subresource),
        target=target_of("update", resource, ref, subresource),
        query=_options(fieldManager=manager),
        body=msgspec.json.encode(obj),
    )


def delete(
    resource: Resource,
    ref: Ref,
    *,
    uid: str,
    resource_version: str,
    grace: int | None,
    propagation: str,
    dry_run: bool,
) -> Call:
    conditions = {"uid": uid, "resourceVersion": resource_version}
    options: dict[str, Any] = {
        "kind": "DeleteOptions",
        "apiVersion": "v1",
        "propagationPolicy": propagation,
        "preconditions": {key: value for key, value in conditions.items() if value},
    }
    if grace is not None:
        options["gracePeriodSeconds"] = grace
    if dry_run:
        options["dryRun"] = ["All"]
    return Call(
        method="DELETE",
        path=object_path(resource, ref),
        target=target_of("delete", resource, ref),
        body=msgspec.json.encode(options),
        repeatable=dry_run,
    )


def collection(
    resource: Resource, *, verb: str = "list", namespace: str = "", labels: str = "", fields: str = "", name: str = ""
) -> Call:
    """`name`: the one object of it that is meant."""
    fields = f"metadata.name={segment(name)}" if name else fields
    query = (("labelSelector", labels), ("fieldSelector", fields))
    return Call(
        method="GET",
        path=path_of(resource, namespace),
        target=Target(verb, resource.qualified, name, namespace),
        query=tuple((key, value) for key, value in query if value),
        repeatable=True,
    )


def raw(path: str, params: Mapping[str, str] | None = None) -> Call:
    if not path.startswith("/") or not path.isprintable():
        raise UserError(f"{path[:80]!r} is no path of an API server", "begin it with /")
    return Call(
        method="GET",
        path=path,
        target=Target("get", path[:200]),
        query=tuple((params or {}).items()),
        accept="application/json, */*",
        repeatable=True,
    )


def logs(namespace: str, pod: str, *, container: str, previous: bool, limit: int, tail: int) -> Call:
    limit = limit or LOG_LIMIT
    query = {
        "container": container,
        "previous": "true" if previous else "",
        "tailLines": str(tail) if tail else "",
        "limitBytes": str(limit),
    }
    return Call(
        method="GET",
        path=path_of(PODS, namespace, pod, "log"),
        target=Target("get", "pods/log", pod, namespace),
        query=tuple((key, value) for key, value in query.items() if value),
        accept="application/json, */*",
        repeatable=True,
        limit=limit + 4096,
    )


def proxy(namespace: str, pod: str, port: int, path: str, *, https: bool) -> Call:
    at = f"{'https:' if https else ''}{segment(pod)}:{port:d}"
    return Call(
        method="GET",
        path=f"{path_of(PODS, namespace)}/{at}/proxy/{quote(path.lstrip('/'), safe='/:?&=%@,;+~-._')}",
        target=Target("get", "pods/proxy", pod, namespace),
        accept="*/*",
        repeatable=True,
        read_seconds=POD_SECONDS,
        limit=PROXY_LIMIT,
        through=f"pod {namespace}/{pod} port {port}",
    )


def access_review(attributes: Mapping[str, str]) -> Call:
    """Creating a SelfSubjectAccessReview stores nothing."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    return Call(
        method="POST",
        path="/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
        target=Target("create", "selfsubjectaccessreviews.authorization.k8s.io"),
        body=msgspec.json.encode(review),
        repeatable=True,
    )


def _options(*, dry_run: bool = False, force: bool = False, **more: str) -> tuple[tuple[str, str], ...]:
    flags = {"dryRun": "All" if dry_run else "", "force": "true" if force else "", **more}
    return tuple((key, value) for key, value in flags.items() if value)


def _guarded(body: Patch, uid: str, resource_version: str) -> tuple[str, object]:
    """(content type, patch that the server refuses for another object or another state)."""
    conditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
    if isinstance(body, Mapping):
        meta = {**(body.get("metadata") or {}), **conditions}
        return MERGE_PATCH, {**body, "metadata": meta} if conditions else body
    # replacing either by its own value changes nothing
    guards = [{"op": "replace", "path": f"/metadata/{key}", "value": value} for key, value in conditions.items()]
    return JSON_PATCH, [*guards, *body]
