"""A Kubernetes API server as the engine sees it: objects are dicts, whole-cluster lists are narrow Structs.

Every failure is an ApiError, or a UserError where the kubeconfig is at fault. Safe to share between threads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

import msgspec

from gpuready.adapters import kube_requests as requests
from gpuready.adapters.kube_connection import Connection, choose
from gpuready.adapters.kube_http import RETRY_SECONDS, Call, Transport
from gpuready.adapters.kube_pages import PAGE, Page, decode, read_pages
from gpuready.adapters.kube_resources import Resource, Resources
from gpuready.adapters.kube_watch import WINDOW, Event, follow, watch
from gpuready.model.errors import Gone, NotFound
from gpuready.model.plan import Ref

Json = dict[str, Any]
T = TypeVar("T")

TICK = 10  # seconds between two calls of `each` when nothing happens


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
        self._resources = Resources(self.get_raw)

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
        call = requests.raw("/version")
        told = decode(self._transport.send(call), _version.decode, call.target)
        major, minor = (re.match(r"\d{1,4}", text) for text in (told.major, told.minor))  # GKE: "34+"
        return Version(told.git_version, int(major[0]) if major else 0, int(minor[0]) if minor else 0)

    def uid(self) -> str:
        """The cluster's identity: the UID of its kube-system namespace."""
        ref = Ref(api_version="v1", kind="Namespace", name="kube-system")
        return str(self._json(requests.get(self._find(ref), ref))["metadata"]["uid"])

    # one object

    def get(self, ref: Ref) -> Json | None:
        """None when it is not there; NotFound when the cluster does not serve its kind."""
        try:
            return self._json(requests.get(self._find(ref), ref))
        except NotFound as error:
            if error.reason != "NotFound" or not error.name or "requested resource" in error.message:
                raise  # the kind is not served
            return None

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False, manager: str = "") -> Json:
        ref = requests.reference(obj)
        return self._json(requests.create(self._find(ref), ref, obj, dry_run=dry_run, manager=manager))

    def apply(
        self, obj: Mapping[str, Any], *, manager: str, force: bool = False, dry_run: bool = False, subresource: str = ""
    ) -> Json:
        """Server-side apply. Conflict.fields names other managers. A uid or resourceVersion in `obj` ties it to that
        object or state (Conflict)."""
        resource = self._find(requests.reference(obj))
        return self._json(
            requests.apply(resource, obj, manager=manager, force=force, dry_run=dry_run, subresource=subresource)
        )

    def patch(
        self,
        ref: Ref,
        body: requests.Patch,
        *,
        subresource: str = "",
        uid: str = "",
        resource_version: str = "",
        manager: str = "",
        dry_run: bool = False,
    ) -> Json:
        """A mapping is a merge patch, a sequence a JSON patch. Conflict when `uid` or `resource_version` is another."""
        return self._json(
            requests.patch(
                self._find(ref),
                ref,
                body,
                subresource=subresource,
                uid=uid,
                resource_version=resource_version,
                manager=manager,
                dry_run=dry_run,
            )
        )

    def replace(self, obj: Mapping[str, Any], *, subresource: str = "", manager: str = "") -> Json:
        """PUT. Conflict unless the object still is at the resourceVersion that `obj` carries."""
        resource = self._find(requests.reference(obj))
        return self._json(requests.replace(resource, obj, subresource=subresource, manager=manager))

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
        self._transport.send(
            requests.delete(
                self._find(ref),
                ref,
                uid=uid,
                resource_version=resource_version,
                grace=grace,
                propagation=propagation,
                dry_run=dry_run,
            )
        )

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
        """Page by page into a narrow Struct, in the memory of one page. No namespace: all of them."""
        resource = self._resources.find(api_version, kind)
        call = requests.collection(resource, namespace=namespace, labels=labels, fields=fields)
        return read_pages(self._transport, call, item, limit=limit)

    def list_objects(
        self, api_version: str, kind: str, *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> list[Json]:
        """All of them at once: for kinds that are few. Begins again when the server no longer keeps the first page."""
        resource = self._resources.find(api_version, kind)
        call = requests.collection(resource, namespace=namespace, labels=labels, fields=fields)
        try:
            pages = list(read_pages(self._transport, call, Json))
        except Gone:
            pages = list(read_pages(self._transport, call, Json))
        # the API leaves kind and apiVersion out of the items of a list
        return [{"apiVersion": api_version, "kind": kind, **obj} for page in pages for obj in page.items]

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        """The pages of a list, or the one answer of any other path, exactly as answered."""
        call = requests.raw(path, params)
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
        resource = self._resources.find(api_version, kind)
        call = requests.collection(resource, verb="watch", namespace=namespace, labels=labels, fields=fields)
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
        """The state (None: not there) for which `until` holds; TimedOut, a TimeoutError, after `timeout` seconds.
        `until` is asked after every change; with `each`, which is called before it, at least every ten seconds."""
        one = requests.collection(self._find(ref), verb="watch", namespace=ref.namespace, name=ref.name)
        return follow(
            self._transport,
            one,
            until,
            deadline=self._transport.now() + timeout,
            each=each or (lambda: None),
            window=TICK if each else WINDOW,
        )

    # the rest

    def logs(
        self, namespace: str, pod: str, *, container: str = "", previous: bool = False, limit: int = 0, tail: int = 0
    ) -> str:
        """The first `limit` bytes (0: 1 MiB) of the last `tail` lines (0: all). Bytes that are no UTF-8: U+FFFD."""
        call = requests.logs(namespace, pod, container=container, previous=previous, limit=limit, tail=tail)
        return self._transport.send(call).decode("utf-8", "replace")

    def proxy_get(self, namespace: str, pod: str, port: int, path: str = "/", *, https: bool = False) -> bytes:
        """GET from a pod through the API server (pods/proxy). `path` may have a query."""
        return self._transport.send(requests.proxy(namespace, pod, port, path, https=https))

    def can_i(
        self, verb: str, resource: str, *, group: str = "", namespace: str = "", name: str = "", subresource: str = ""
    ) -> Access:
        """SelfSubjectAccessReview; "*" is a verb, group or resource too. No namespace: all of them."""
        attributes = {"verb": verb, "resource": resource, "group": group, "namespace": namespace, "name": name}
        call = requests.access_review({**attributes, "subresource": subresource})
        status = decode(self._transport.send(call), _review.decode, call.target).status
        return Access(status.allowed, status.reason or status.evaluation_error)

    def get_raw(self, path: str, params: Mapping[str, str] | None = None) -> bytes:
        """The body of any path beneath the server's address."""
        return self._transport.send(requests.raw(path, params))

    def _find(self, ref: Ref) -> Resource:
        return self._resources.find(ref.api_version, ref.kind)

    def _json(self, call: Call) -> Json:
        return decode(self._transport.send(call), _json.decode, call.target)


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


_json: msgspec.json.Decoder[Json] = msgspec.json.Decoder(Json)
_version = msgspec.json.Decoder(_Version)
_review = msgspec.json.Decoder(_Review)
