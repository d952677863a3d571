"""A server between gpuready and an API server that keeps the form of every request and answer: keys and types."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

import httpx2

from gpuready.adapters.demo.cluster import Simulated
from gpuready.adapters.kube_auth import Login
from gpuready.adapters.kube_connection import Connection, choose
from gpuready.adapters.kube_tls import tls_context
from gpuready.cli.demo import Guide, own_environment

# maps whose keys are data
OPEN = {"labels", "annotations", "fieldsV1", "data", "capacity", "allocatable", "limits", "requests"}
OPEN |= {"nodeSelector", "matchLabels"}
MARK = "simulated"  # in the demo's reports alone, so that nobody takes them for others
Form = Any  # "str", "int", "bool", "null", "map", "text", [of its items], {key: form}; "int|null" where both came


def form(value: Any, key: str = "") -> Form:
    if isinstance(value, Mapping):
        return "map" if key in OPEN else {k: form(v, k) for k, v in sorted(value.items()) if k != MARK}
    if isinstance(value, list):
        return [union(form(item) for item in value)] if value else []
    return {"NoneType": "null"}.get(type(value).__name__, type(value).__name__)


def union(forms: Iterable[Form]) -> Form:
    """One form that has the keys of all of them."""
    found = list(forms)
    first = found[0]
    for other in found[1:]:
        first = _both(first, other)
    return first


def _both(a: Form, b: Form) -> Form:
    if isinstance(a, dict) and isinstance(b, dict):
        return {k: _both(a[k], b[k]) if k in a and k in b else a.get(k, b.get(k)) for k in sorted({*a, *b})}
    if isinstance(a, list) and isinstance(b, list):
        return [union([*a, *b])] if a or b else []
    if a == b:
        return a
    return "|".join(sorted({*_words(a), *_words(b)}))


def _words(a: Form) -> list[str]:
    return a.split("|") if isinstance(a, str) else [json.dumps(a)]


def strange(ours: Form, real: Form, path: str = "") -> Iterator[str]:
    """What the real answer has not: keys, or another type."""
    if isinstance(ours, dict) and isinstance(real, dict):
        for key, value in ours.items():
            if key in real:
                yield from strange(value, real[key], f"{path}.{key}")
            else:
                yield f"{path}.{key} is not there"
    elif isinstance(ours, list) and isinstance(real, list):
        if ours and real:
            yield from strange(ours[0], real[0], f"{path}[]")
        elif ours:
            yield f"{path}[] has items"
    elif not (isinstance(ours, str) and isinstance(real, str) and set(_words(ours)) <= set(_words(real))):
        yield f"{path} is {json.dumps(ours)[:80]}, not {json.dumps(real)[:80]}"


def left_out(ours: Form, real: Form, path: str = "") -> Iterator[str]:
    """Keys that only the real answer has."""
    if isinstance(ours, dict) and isinstance(real, dict):
        for key, value in real.items():
            if key in ours:
                yield from left_out(ours[key], value, f"{path}.{key}")
            else:
                yield f"{path}.{key}"
    elif isinstance(ours, list) and isinstance(real, list) and ours and real:
        yield from left_out(ours[0], real[0], f"{path}[]")


class Exchanges:
    """What was asked and answered: by request and status, the form of the answer."""

    def __init__(self) -> None:
        self.found: dict[str, Form] = {}
        self._lock = threading.Lock()

    def note(self, request: str, status: int, content_type: str, body: bytes) -> None:
        key, said = f"{request} -> {status} {content_type}", form_of(body)
        if said is None:
            return
        with self._lock:
            self.found[key] = union([self.found[key], said]) if key in self.found else said


def form_of(body: bytes) -> Form:
    """Of a JSON document, of those of a watch or a probe, line by line, or text. None: a watch saw nothing."""
    try:
        return form(json.loads(body))
    except ValueError:
        lines = [json.loads(line) for line in body.splitlines() if line.startswith(b"{")]
        told = [form(line) for line in lines if line.get("type") != "BOOKMARK"]
        return union(told) if told else None if lines else "text"


def asked(method: str, path: str, query: str, content_type: str) -> str:
    """The request with every name left out: `GET /api/v1/namespaces/*/pods/* ?limit`."""
    path = re.sub(r"/pods/[^/]+:\d+/proxy", "/pods/*:*/proxy", path)
    path = re.sub(r"(/namespaces/)[^/]+/", r"\1*/", path)
    path = re.sub(r"^(/(?:api|apis/[^/]+)/v1(?:/namespaces/\*)?/[a-z]+)/[^/]+", r"\1/*", path)
    names = ",".join(sorted({name for name, _ in parse_qsl(query)}))
    return " ".join(filter(None, (method, path, names and f"?{names}", method != "GET" and content_type)))


class Recorder(ThreadingHTTPServer):
    """`with Recorder(connection) as recorder:` passes everything on to that API server, with its credentials."""

    daemon_threads = True

    def __init__(self, upstream: Connection) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        identity = Login(upstream).current()
        tls = tls_context(upstream, identity.certificate, identity.key)
        self.client = httpx2.Client(verify=tls, timeout=300, trust_env=False)
        self.base, self.headers, self.exchanges = upstream.server, dict(identity.headers), Exchanges()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self.client.close()


class _Handler(BaseHTTPRequestHandler):
    server: Recorder
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        kept = ("content-type", "accept", "user-agent")
        headers = [(n.encode(), v.encode()) for n, v in self.headers.items() if n.lower() in kept]
        url = self.server.base + self.path
        request = self.server.client.build_request(
            self.command, url, headers=[*headers, *self.server.headers.items()], content=body or None
        )
        answer = self.server.client.send(request, stream=True)
        parts = urlsplit(self.path)
        what = asked(self.command, parts.path, parts.query, self.headers.get("Content-Type", ""))
        kind = answer.headers.get("content-type", "").partition(";")[0]
        seen: list[bytes] = []
        try:
            self._relay(answer, "watch" in dict(parse_qsl(parts.query)), seen)
        finally:
            answer.close()
            body, streamed = b"".join(seen), "watch" in what
            whole = body.rpartition(b"\n")[0] if streamed else body  # the last line of a stream may be cut off
            if whole or not streamed:
                self.server.exchanges.note(what, answer.status_code, kind, whole)

    def _relay(self, answer: httpx2.Response, stream: bool, seen: list[bytes]) -> None:
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.headers.get("content-type", ""))
        if not stream:
            seen.append(answer.read())
            self.send_header("Content-Length", str(len(seen[0])))
            self.end_headers()
            self.wfile.write(seen[0])
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            for part in answer.iter_bytes():
                seen.append(part)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.write(b"0\r\n\r\n")
        except (OSError, httpx2.HTTPError):  # the client has seen what it waited for, or the run is over
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        pass


def simulated(folder: Path) -> dict[str, Form]:
    """What `gpuready demo` asks of its own cluster, and is answered."""
    with Simulated() as cluster:
        cluster.write_kubeconfig(folder / "direct")
        with Recorder(choose(folder / "direct", env={})) as recorder, own_environment(folder):
            cluster.write_kubeconfig(folder / "kubeconfig", recorder.url)
            Guide(cluster, no_color=True).lead()
            return recorder.exchanges.found


RECORDED = Path(__file__).with_name("demo_recorded.json")


class Recorded(NamedTuple):
    """What the real API server answered, and by kind of object the keys that the demo's does without."""

    kubernetes: str
    exchanges: dict[str, Form]
    left_out: dict[str, list[str]]


def recorded() -> Recorded:
    return Recorded(**json.loads(RECORDED.read_text()))


def record(kubernetes: str, real: Mapping[str, Form], ours: Mapping[str, Form]) -> None:
    """A line for each request, so that a difference can be read."""
    same = {key: real[key] for key in sorted(ours) if key in real}
    mine, theirs = by_kind(ours), by_kind(same)
    missing = {kind: sorted(left_out(mine[kind], theirs[kind])) for kind in sorted(mine)}
    parts = [json.dumps(kubernetes), *(_lines(part) for part in (same, missing))]
    named = zip(Recorded._fields, parts, strict=True)
    RECORDED.write_text("{" + ",\n".join(f"{json.dumps(name)}: {part}" for name, part in named) + "}\n")


def _lines(found: Mapping[str, Any]) -> str:
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in found.items()) + "\n}"


OBJECTS = re.compile(r"/v1(?:/namespaces/\*)?/([a-z]+)(?:/\*)?(?: .*)? -> 20[01] application/json$")


def by_kind(exchanges: Mapping[str, Form]) -> dict[str, Form]:
    """The form of an object of each kind, from every answer that holds some: which of its states a watch sees is a
    matter of moments."""
    found: dict[str, list[Form]] = {}
    for key, said in exchanges.items():
        if kind := OBJECTS.search(key):
            found.setdefault(kind[1], []).extend(said["items"] if "items" in said else [said.get("object", said)])
    return {kind: union(forms) for kind, forms in found.items() if forms}


def strangers(ours: Mapping[str, Form], real: Mapping[str, Form]) -> dict[str, list[str]]:
    """By request, and by kind of object, what the real answers have not. Every request of ours must be in `real`."""
    mine, theirs = by_kind(ours), by_kind(real)
    found = {key: list(strange(_envelope(key, ours[key]), _envelope(key, real[key]))) for key in ours}
    found |= {kind: list(strange(mine[kind], theirs[kind])) for kind in mine}
    return {what: lines for what, lines in found.items() if lines}


def _envelope(key: str, said: Form) -> Form:
    """What is around the objects."""
    if not OBJECTS.search(key):
        return said
    return (
        {k: "object" if k in ("items", "object") else v for k, v in said.items()}
        if {"items", "object"} & {*said}
        else ""
    )
