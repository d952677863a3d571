"""The API server of the demo: HTTP on localhost, the requests of `gpuready demo` and no others."""

from __future__ import annotations

import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from gpuready.adapters.demo.store import Change, Json, Key, Refusal, Store, key_of
from gpuready.adapters.kube_requests import APPLY_PATCH

VERSION = {"major": "1", "minor": "34", "gitVersion": "v1.34.4+simulated", "platform": "linux/amd64"}
LARGEST = 4 << 20  # bytes of a request


def _table() -> dict[tuple[str, str], tuple[str, frozenset[str]]]:
    """(base path, plural) -> (kind, verbs). tests/contracts/test_demo.py holds that the demo does each of these."""
    lines = """
    v1 Namespace: get list create
    v1 Node: get list watch apply
    v1 Pod: get list watch create delete
    v1 Event: list
    v1 ResourceQuota: list
    v1 Secret: list create update
    v1 ConfigMap: get
    v1 ServiceAccount: get apply
    apps/v1 DaemonSet: get list apply
    node.k8s.io/v1 RuntimeClass: list
    apiextensions.k8s.io/v1 CustomResourceDefinition: get
    coordination.k8s.io/v1 Lease: get create update
    rbac.authorization.k8s.io/v1 ClusterRole: get apply
    rbac.authorization.k8s.io/v1 ClusterRoleBinding: get apply
    scheduling.k8s.io/v1 PriorityClass: get apply
    admissionregistration.k8s.io/v1 ValidatingAdmissionPolicy: get apply
    admissionregistration.k8s.io/v1 ValidatingAdmissionPolicyBinding: get apply
    admissionregistration.k8s.io/v1 ValidatingWebhookConfiguration: list
    admissionregistration.k8s.io/v1 MutatingWebhookConfiguration: list
    resource.k8s.io/v1 DeviceClass: list
    resource.k8s.io/v1 ResourceSlice: list
    """
    found = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        what, _, verbs = line.partition(":")
        api_version, kind = what.split()
        key = key_of({"apiVersion": api_version, "kind": kind, "metadata": {"namespace": "", "name": ""}})
        found[key.base, key.plural] = kind, frozenset(verbs.split())
    return found


SERVES = _table()
GROUPS = frozenset(base.split("/")[1] for base, _ in SERVES if base.startswith("apis/"))


class Request(NamedTuple):
    method: str
    path: str
    query: Mapping[str, str]
    content_type: str
    body: bytes

    def json(self) -> Json:
        try:
            obj = json.loads(self.body)
        except ValueError:
            obj = None
        if not isinstance(obj, dict):
            raise Refusal(400, "BadRequest", "the body is no JSON object")
        return obj


class Answer(NamedTuple):
    code: int
    body: bytes
    content_type: str = "application/json"


class Pods(NamedTuple):
    """What only a kubelet can answer."""

    logs: Callable[[Json, str], str]
    page: Callable[[Json, str], Json]


class Api:
    """From a request to an answer."""

    def __init__(self, store: Store, pods: Pods) -> None:
        self.store, self.pods = store, pods

    def answer(self, request: Request) -> Answer:
        try:
            code, found = self._answer(request)
        except Refusal as refusal:
            code, found = refusal.code, refusal.status
        if isinstance(found, str):
            return Answer(code, found.encode(), "text/plain; charset=utf-8" if code == 404 else "text/plain")
        return Answer(code, json.dumps(found).encode())

    def _answer(self, r: Request) -> tuple[int, Json | str]:
        if r.method == "GET" and (found := self._discovery(r.path)):
            return found
        if (r.method, r.path) == ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"):
            return 201, {**r.json(), "status": {"allowed": True}}
        if r.method == "GET" and (pod := re.fullmatch(r"/api/v1/namespaces/([^/]+)/pods/([^/:]+)/log", r.path)):
            return 200, self.pods.logs(self._pod(*pod.groups()), r.query.get("container", ""))
        proxied = re.fullmatch(r"/api/v1/namespaces/([^/]+)/pods/([^/:]+):\d+/proxy(/\w+)", r.path)
        if r.method == "GET" and proxied:
            return 200, self.pods.page(self._pod(proxied[1], proxied[2]), proxied[3])
        return self._object(r, *self.meant(r))

    def _discovery(self, path: str) -> tuple[int, Json | str] | None:
        if path == "/version":
            return 200, VERSION
        group = re.fullmatch(r"/apis/([^/]+)", path)
        if group and group[1] not in GROUPS:
            return 404, "404 page not found\n"
        if group:
            versions = [{"groupVersion": f"{group[1]}/v1", "version": "v1"}]
            return 200, {
                "kind": "APIGroup",
                "apiVersion": "v1",
                "name": group[1],
                "versions": versions,
                "preferredVersion": versions[0],
            }
        if (base := path[1:]) in {base for base, _ in SERVES}:
            served = [(plural, kind, verbs) for (b, plural), (kind, verbs) in SERVES.items() if b == base]
            resources = [
                {"name": p, "singularName": k.lower(), "kind": k, "namespaced": False, "verbs": [*v]}
                for p, k, v in served
            ]
            whole = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": base.partition("/")[2]}
            return 200, {**whole, "resources": resources}
        return None

    @staticmethod
    def meant(r: Request) -> tuple[Key, str]:
        """Which object or collection (no name), and the verb as RBAC has it. Refused: the demo has no use for it."""
        match = re.fullmatch(r"/(api/v1|apis/[^/]+/v1)(?:/namespaces/([^/]+)(?=/))?/([a-z]+)(?:/([^/]+))?", r.path)
        if not match or (match[1], match[3]) not in SERVES:
            raise Refusal(404, "NotFound", f"the demo's cluster does not serve {r.path}")
        key = Key(match[1], match[3], match[2] or "", match[4] or "")
        patch = "apply" if r.content_type == APPLY_PATCH else "patch"
        some = "watch" if r.query.get("watch") else "list"
        verb = {"POST": "create", "PUT": "update", "PATCH": patch, "DELETE": "delete"}.get(r.method) or (
            "get" if key.name else some
        )
        if verb not in SERVES[key.base, key.plural][1]:
            message = f"the demo's cluster does not serve {verb} of {key.plural}: it serves only what the demo asks"
            raise Refusal(405, "MethodNotAllowed", message)
        return key, verb

    def _object(self, r: Request, key: Key, verb: str) -> tuple[int, Json]:
        match verb:
            case "list":
                return 200, self._list(key, r.query)
            case "get":
                return 200, self.store.get(key)
            case "create":
                return 201, self.store.create(r.json(), "gpuready", dry_run="dryRun" in r.query)
            case "update":
                return 200, self.store.replace(r.json())
            case "apply":
                code = 200 if self.store.has(key) else 201
                return code, self.store.apply(r.json(), r.query["fieldManager"])
        return 200, self.store.delete(key)

    def _list(self, key: Key, query: Mapping[str, str]) -> Json:
        kind = SERVES[key.base, key.plural][0]
        with self.store.changed:
            found = [o for o in self.store.find(key.plural, key.namespace) if selected(o, query)]
            items = [{k: v for k, v in o.items() if k not in ("kind", "apiVersion")} for o in found]
            version = {"resourceVersion": str(self.store.version)}
        return {"kind": f"{kind}List", "apiVersion": key.base.partition("/")[2], "metadata": version, "items": items}

    def _pod(self, namespace: str, name: str) -> Json:
        return self.store.get(Key("api/v1", "pods", namespace, unquote(name)))

    def watch(self, r: Request, ended: Callable[[], bool]) -> Iterator[bytes]:
        """Each change as a line; nothing now and then, so that an end is seen soon. Refusal before the first."""
        return self._changes(r, self.meant(r)[0], ended)

    def _changes(self, r: Request, key: Key, ended: Callable[[], bool]) -> Iterator[bytes]:
        version, until = int(r.query["resourceVersion"]), time.monotonic() + float(r.query["timeoutSeconds"])
        while time.monotonic() < until and not ended():
            with self.store.changed:
                if self.store.version <= version:
                    self.store.changed.wait(0.2)
                changes = self.store.since(version)
                version = self.store.version
            yield b"".join(_line(c) for c in changes if _concerns(c, key) and selected(c.object, r.query))


def _concerns(change: Change, key: Key) -> bool:
    return change.key.plural == key.plural and key.namespace in ("", change.key.namespace)


def _line(change: Change) -> bytes:
    return json.dumps({"type": change.type, "object": change.object}).encode() + b"\n"


def selected(obj: Mapping[str, Any], query: Mapping[str, str]) -> bool:
    """By labelSelector (key, key=value) and fieldSelector (path=value, path!=value)."""
    labels = obj["metadata"].get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, equal, value = term.partition("=")
        if name not in labels or (equal and labels[name] != value):
            return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        path, _, value = term.partition("=")
        found: Any = obj
        for part in path.rstrip("!").split("."):
            found = (found or {}).get(part)
        if (str(found or "") == value) == path.endswith("!"):
            return False
    return True


class Server(ThreadingHTTPServer):
    """Serves until `stop`. Whoever has no token gets no answer: other users of this machine have no business here."""

    daemon_threads = True

    def __init__(self, api: Api) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api, self.token, self.stopping = api, secrets.token_hex(16), threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """What a stranger sends to this port is no concern of the demo's terminal."""


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 120

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        shown = (self.headers.get("Authorization") or "").encode()
        if not 0 <= size <= LARGEST or not secrets.compare_digest(shown, f"Bearer {self.server.token}".encode()):
            self.close_connection = True
            return self._refuse(Refusal(401, "Unauthorized", "Unauthorized"))
        kind = self.headers.get("Content-Type") or ""
        request = Request(self.command, parts.path, dict(parse_qsl(parts.query)), kind, self.rfile.read(size))
        if request.query.get("watch") and request.method == "GET":
            try:
                return self._stream(self.server.api.watch(request, self.server.stopping.is_set))
            except Refusal as refusal:
                return self._refuse(refusal)
        return self._send(self.server.api.answer(request))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 (the names that http.server calls)

    def _refuse(self, refusal: Refusal) -> None:
        self._send(Answer(refusal.code, json.dumps(refusal.status).encode()))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def _stream(self, changes: Iterator[bytes]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for lines in changes:
                if lines:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(lines), lines))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:  # the client has seen what it waited for
            self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """The demo's terminal belongs to the demo."""
