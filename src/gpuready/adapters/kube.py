"""A Kubernetes API server as the engine sees it: objects are dicts, whole-cluster lists are narrow Structs.

Every failure is an ApiError, or a UserError where the kubeconfig is at fault. Safe to share between threads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import msgspec

from gpuready.adapters.kube_connection import Connection, choose
from gpuready.adapters.kube_http import RETRY_SECONDS, Call, Transport
from gpuready.adapters.kube_pages import PAGE, Page, decode, read_pages
from gpuready.adapters.kube_resources import Resource, Resources, path_of, segment
from gpuready.adapters.kube_watch import WINDOW, Event, follow, watch
from gpuready.model.errors import Gone, NotFound, Target, UserError
from gpuready.model.plan import Ref

Json = dict[str, Any]
T = TypeVar("T")

APPLY_PATCH = "application/apply-patch+yaml"  # JSON is YAML
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
LOG_LIMIT = 1 << 20
PROXY_LIMIT = 64 << 20

_json: msgspec.json.Decoder[Json] = msgspec.json.Decoder(Json)


class Version(NamedTuple):
    git_version: str  # "v1.34.4", "v1.31.2-gke.1"
    major: int
    minor: int


class Access(NamedTuple):
    """`reason` is the authorizer's, or what kept it from deciding; often empty."""

    allowed: bool
    reason: str


def connect(
    kubeconfig: str | Path | None = None,
    context: str | None = None,
    *,
    env: Mapping[str, str] = os.environ,
    retry_seconds: float = RETRY_SECONDS,
) -> Client:
    """Chosen as kubectl chooses. Nothing is sent yet."""
    return Client(Transport(choose(kubeconfig, context, env=env), retry_seconds=retry_seconds))


class Client:
    """`with connect() as cluster:` closes the connections."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._resources = Resources(lambda path, target: self._read(path, target))

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._transport.close()

    @property
    def connection(self) -> Connection:
        return self._transport.connection

    @property
    def server(self) -> str:
        return self.connection.server

    @property
    def context_name(self) -> str:
        return self.connection.context

    @property
    def cluster_name(self) -> str:
        return self.connection.cluster

    @property
    def insecure(self) -> bool:
        return self.connection.insecure

    def version(self) -> Version:
        target = Target("get", "/version")
        told = decode(self._read("/version", target), msgspec.json.Decoder(_Version).decode, target)
        major, minor = (re.match(r"\d{1,4}", text) for text in (told.major, told.minor))  # GKE: "34+"
        return Version(told.git_version, int(major[0]) if major else 0, int(minor[0]) if minor else 0)

    def uid(self) -> str:
        """The cluster's identity: the UID of its kube-system namespace."""
        found = self._object(Ref(api_version="v1", kind="Namespace", name="kube-system"))
        return str(found.get("metadata", {}).get("uid", ""))

    # one object

    def get(self, ref: Ref) -> Json | None:
        """None when it is not there; NotFound when the cluster does not serve its kind."""
        try:
            return self._object(ref)
        except NotFound as error:
            if error.reason != "NotFound" or "could not find the requested resource" in error.message:
                raise  # the kind is not served
            return None

    def _object(self, ref: Ref) -> Json:
        resource = self._find(ref)
        return self._json(Call(method="GET", path=self._path(ref), target=_target("get", resource, ref)))

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False, manager: str = "") -> Json:
        ref = _ref(obj)
        resource = self._find(ref)
        return self._json(
            Call(
                method="POST",
                path=path_of(resource, ref.namespace),
                target=_target("create", resource, ref),
                query=_options(dry_run=dry_run, fieldManager=manager),
                body=msgspec.json.encode(obj),
                repeatable=dry_run,
            )
        )

    def apply(
        self, obj: Mapping[str, Any], *, manager: str, force: bool = False, dry_run: bool = False, subresource: str = ""
    ) -> Json:
        """Server-side apply. Conflict.fields names other managers. With a resourceVersion in `obj`: only that state;
        with a uid in it: only that object (else one that is not there is created)."""
        ref = _ref(obj)
        resource = self._find(ref)
        return self._json(
            Call(
                method="PATCH",
                path=self._path(ref, subresource),
                target=_target("patch", resource, ref, subresource),
                query=_options(dry_run=dry_run, fieldManager=manager, force=force),
                body=msgspec.json.encode(obj),
                content_type=APPLY_PATCH,
                repeatable=dry_run or not obj["metadata"].get("resourceVersion"),
            )
        )

    def patch(
        self,
        ref: Ref,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        subresource: str = "",
        uid: str = "",
        resource_version: str = "",
        manager: str = "",
        dry_run: bool = False,
    ) -> Json:
        """A mapping is a merge patch, a sequence a JSON patch. Conflict when `uid` or `resource_version` is another."""
        resource = self._find(ref)
        content_type, guarded = _guarded(body, uid, resource_version)
        return self._json(
            Call(
                method="PATCH",
                path=self._path(ref, subresource),
                target=_target("patch", resource, ref, subresource),
                query=_options(dry_run=dry_run, fieldManager=manager),
                body=msgspec.json.encode(guarded),
                content_type=content_type,
                repeatable=dry_run,
            )
        )

    def replace(self, obj: Mapping[str, Any], *, subresource: str = "", manager: str = "") -> Json:
        """PUT. Conflict unless the object still is at the resourceVersion that `obj` carries."""
        ref = _ref(obj)
        if not obj["metadata"].get("resourceVersion"):
            raise UserError(f"{ref} carries no resourceVersion to replace", "read it first")
        resource = self._find(ref)
        return self._json(
            Call(
                method="PUT",
                path=self._path(ref, subresource),
                target=_target("update", resource, ref, subresource),
                query=_options(fieldManager=manager),
                body=msgspec.json.encode(obj),
            )
        )

    def delete(
        self,
        ref: Ref,
        *,
        uid: str = "",
        resource_version: str = "",
        grace: int | None = None,
        propagation: str = "Background",
        dry_run: bool = False,
    ) -> None:
        """NotFound when it is not there; Conflict when `uid` or `resource_version` is another. Finalizers and a
        pod's grace period may keep it for a while."""
        resource = self._find(ref)
        options: Json = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        conditions = {"uid": uid, "resourceVersion": resource_version}
        options["preconditions"] = {key: value for key, value in conditions.items() if value}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        if dry_run:
            options["dryRun"] = ["All"]
        call = Call(
            method="DELETE",
            path=self._path(ref),
            target=_target("delete", resource, ref),
            body=msgspec.json.encode(options),
            repeatable=dry_run,
        )
        self._transport.send(call)

    # many objects

    def list_pages(
        self,
        api_version: str,
        kind: str,
        item: type[T],
        *,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        limit: int = PAGE,
    ) -> Iterator[Page[T]]:
        """Page by page into a narrow Struct, in memory of one page. No namespace: all of them."""
        call = self._collection(api_version, kind, namespace, labels, fields)
        return read_pages(self._transport, call, item, limit=limit)

    def list_objects(
        self, api_version: str, kind: str, *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Json]:
        """All of them at once: for kinds that are few. Begins again when the server no longer keeps the first page."""
        call = self._collection(api_version, kind, namespace, labels, fields)
        try:
            pages = list(read_pages(self._transport, call, Json))
        except Gone:
            pages = list(read_pages(self._transport, call, Json))
        # the API leaves kind and apiVersion out of the items of a typed list
        return [{"apiVersion": api_version, "kind": kind, **obj} for page in pages for obj in page.items]

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        """The pages of a list, or the one answer of any other path, exactly as answered."""
        call = self._raw(path, params)
        for page in read_pages(self._transport, call, msgspec.Raw, keep_raw=True):
            yield page.raw

    def watch(
        self,
        api_version: str,
        kind: str,
        item: type[T],
        *,
        resource_version: str,
        timeout: float,
        namespace: str = "",
        labels: str = "",
        fields: str = "",
        window: int = WINDOW,
    ) -> Iterator[Event[T]]:
        """What happens after `resource_version`, for `timeout` seconds. Gone: list again."""
        call = self._collection(api_version, kind, namespace, labels, fields, verb="watch")
        deadline = self._transport.now() + timeout
        return watch(self._transport, call, item, resource_version=resource_version, deadline=deadline, window=window)

    def wait_for(
        self,
        ref: Ref,
        until: Callable[[Json | None], bool],
        *,
        timeout: float,
        each: Callable[[], None] | None = None,
    ) -> Json | None:
        """The last state seen (None: not there), as soon as `until` holds for it, or after `timeout` seconds: ask
        `until` which it was. `each` is called after every state and about every ten seconds."""
        one = self._collection(
            ref.api_version, ref.kind, ref.namespace, "", f"metadata.name={segment(ref.name)}", verb="watch", ref=ref
        )
        return follow(
            self._transport,
            one,
            until,
            deadline=self._transport.now() + timeout,
            each=each or (lambda: None),
            window=10 if each else WINDOW,
        )

    # the rest

    def logs(
        self, namespace: str, pod: str, *, container: str = "", previous: bool = False, limit: int = 0, tail: int = 0
    ) -> str:
        """Of the last `tail` lines (0: all) the first `limit` bytes (0: 1 MiB). Bytes that are no UTF-8 become U+FFFD."""
        limit = limit or LOG_LIMIT
        query = {
            "container": container,
            "previous": "true" if previous else "",
            "tailLines": str(tail) if tail else "",
            "limitBytes": str(limit),
        }
        call = Call(
            method="GET",
            path=path_of(_PODS, namespace, pod, "log"),
            target=Target("get", "pods/log", pod, namespace),
            query=tuple((key, value) for key, value in query.items() if value),
            accept="*/*",
            repeatable=True,
            limit=limit + 4096,
        )
        return self._transport.send(call).decode("utf-8", "replace")

    def proxy_get(self, namespace: str, pod: str, port: int, path: str = "/", *, https: bool = False) -> bytes:
        """GET from a pod through the API server (pods/proxy). `path` may have a query."""
        at = f"{'https:' if https else ''}{segment(pod)}:{port:d}"
        tail = quote(path.lstrip("/"), safe="/:?&=%@,;+~-._")
        call = Call(
            method="GET",
            path=f"{path_of(_PODS, namespace)}/{at}/proxy/{tail}",
            target=Target("get", "pods/proxy", pod, namespace),
            accept="*/*",
            repeatable=True,
            limit=PROXY_LIMIT,
            through=f"pod {namespace}/{pod} port {port}",
        )
        return self._transport.send(call)

    def can_i(
        self, verb: str, resource: str, *, group: str = "", namespace: str = "", name: str = "", subresource: str = ""
    ) -> Access:
        """SelfSubjectAccessReview; "*" is a verb, group or resource too. No namespace: all of them."""
        asked = {
            "verb": verb, "group": group, "resource": resource, "namespace": namespace, "name": name,
            "subresource": subresource,
        }  # fmt: skip
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in asked.items() if value}},
        }
        call = Call(
            method="POST",
            path="/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
            target=Target("create", "selfsubjectaccessreviews.authorization.k8s.io"),
            body=msgspec.json.encode(review),
            repeatable=True,
        )
        body = self._transport.send(call)
        status = decode(body, msgspec.json.Decoder(_Review).decode, call.target).status
        return Access(status.allowed, status.reason or status.evaluation_error)

    def get_raw(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """The body of any path beneath the server's address."""
        return self._transport.send(self._raw(path, params))

    # how

    def _find(self, ref: Ref) -> Resource:
        return self._resources.find(ref.api_version, ref.kind)

    def _path(self, ref: Ref, subresource: str = "") -> str:
        resource = self._find(ref)
        if not ref.name or (resource.namespaced and not ref.namespace):
            missing = "namespace" if ref.name else "name"
            raise UserError(f"{ref.kind} {ref.name or '(no name)'} names no {missing}", f"add metadata.{missing}")
        return path_of(resource, ref.namespace, ref.name, *([subresource] if subresource else []))

    def _collection(
        self,
        api_version: str,
        kind: str,
        namespace: str,
        labels: str,
        fields: str,
        *,
        verb: str = "list",
        ref: Ref | None = None,
    ) -> Call:
        resource = self._resources.find(api_version, kind)
        query = (("labelSelector", labels), ("fieldSelector", fields))
        return Call(
            method="GET",
            path=path_of(resource, namespace),
            target=Target(verb, resource.qualified, ref.name if ref else "", namespace),
            query=tuple((key, value) for key, value in query if value),
            repeatable=True,
        )

    def _raw(self, path: str, params: Mapping[str, str] | None) -> Call:
        if not path.startswith("/") or not path.isprintable():
            raise UserError(f"{path[:80]!r} is no path of an API server", "begin it with /")
        query = tuple((params or {}).items())
        return Call(
            method="GET", path=path, target=Target("get", path[:200]), query=query, accept="*/*", repeatable=True
        )

    def _read(self, path: str, target: Target) -> bytes:
        return self._transport.send(Call(method="GET", path=path, target=target, repeatable=True))

    def _json(self, call: Call) -> Json:
        if call.method == "GET":
            call = msgspec.structs.replace(call, repeatable=True)
        return decode(self._transport.send(call), _json.decode, call.target)


_PODS = Resource("", "v1", "pods", True)


class _Version(msgspec.Struct, rename="camel"):
    git_version: str
    major: str = ""
    minor: str = ""


class _ReviewStatus(msgspec.Struct, rename="camel"):
    allowed: bool
    reason: str = ""
    evaluation_error: str = ""


class _Review(msgspec.Struct):
    status: _ReviewStatus


def _ref(obj: Mapping[str, Any]) -> Ref:
    meta = obj.get("metadata")
    words = [obj.get("apiVersion"), obj.get("kind")]
    words += [meta.get("name", ""), meta.get("namespace", "")] if isinstance(meta, Mapping) else [None, None]
    if not all(isinstance(word, str) for word in words) or not words[0] or not words[1]:
        raise UserError("an object lacks apiVersion, kind or metadata", "add them")
    api_version, kind, name, namespace = (str(word) for word in words)
    return Ref(api_version=api_version, kind=kind, name=name, namespace=namespace)


def _target(verb: str, resource: Resource, ref: Ref, subresource: str = "") -> Target:
    what = f"{resource.qualified}/{subresource}" if subresource else resource.qualified
    return Target(verb, what, ref.name, ref.namespace if resource.namespaced else "")


def _options(*, dry_run: bool = False, force: bool = False, **more: str) -> tuple[tuple[str, str], ...]:
    flags = {"dryRun": "All" if dry_run else "", "force": "true" if force else "", **more}
    return tuple((key, value) for key, value in flags.items() if value)


def _guarded(
    body: Mapping[str, Any] | Sequence[Mapping[str, Any]], uid: str, resource_version: str
) -> tuple[str, object]:
    """(content type, patch that fails on another object or state)."""
    conditions = {key: value for key, value in (("uid", uid), ("resourceVersion", resource_version)) if value}
    if isinstance(body, Mapping):
        meta = {**(body.get("metadata") or {}), **conditions}
        return MERGE_PATCH, {**body, "metadata": meta} if conditions else body
    # replacing uid or resourceVersion by its own value is a no-op; by another one, the server refuses
    tests = [{"op": "replace", "path": f"/metadata/{key}", "value": value} for key, value in conditions.items()]
    return JSON_PATCH, [*tests, *body]
