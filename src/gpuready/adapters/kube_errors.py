"""What the API server's refusals mean: Status objects become ApiErrors with a sentence and a next step."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gpuready.adapters.kube_words import clean
from gpuready.model.errors import (
    AlreadyExists,
    ApiError,
    Cause,
    Conflict,
    FieldConflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    Target,
    Unauthorized,
    Unreachable,
)

MAX_CAUSES = 20
BY_CODE: dict[int, type[ApiError]] = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    410: Gone,
    422: Invalid,
}


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(msgspec.Struct, rename="camel"):
    causes: tuple[_Cause, ...] | None = None
    retry_after_seconds: int = 0


class _ListMeta(msgspec.Struct):
    continue_: str = msgspec.field(default="", name="continue")


class Status(msgspec.Struct):
    """https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/"""

    kind: str = ""
    message: str = ""
    reason: str = ""
    code: int = 0
    details: _Details | None = None
    metadata: _ListMeta | None = None


def read_status(body: bytes) -> Status | None:
    """None: not a Status, so not from an API server (or it panicked)."""
    try:
        status = msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return status if status.kind == "Status" else None


# Each: what the server's message looks like, what is so, what to do. Groups of the pattern and {target} may be used.
# Sources: k8s.io/apiserver (admission, endpoints, storage), etcd's api/v3rpc/rpctypes, seen on 1.34.
SENTENCES: tuple[tuple[re.Pattern[str], str, str], ...] = tuple(
    (re.compile(pattern, re.S), what, todo)
    for pattern, what, todo in (
        (
            r"unable to create new content in namespace (?P<ns>\S+) because it is being terminated",
            "namespace {ns} is being deleted, so {target} cannot be created",
            "wait until it is gone (kubectl get ns {ns} shows what holds it), then run this again",
        ),
        (
            r'User "(?P<who>[^"]*)" cannot (?P<verb>\S+) resource "(?P<res>[^"]+)" in API group "(?P<group>[^"]*)"'
            r'(?: in the namespace "(?P<ns>[^"]*)"| at the cluster scope)?',
            "{who} may not {verb} {res} {where}",
            "`gpuready rbac VERB` prints the rights that a verb needs; an administrator of the cluster can grant them",
        ),
        (
            r'User "(?P<who>[^"]*)" cannot (?P<verb>\S+) path "(?P<path>[^"]*)"',
            "{who} may not {verb} {path}",
            "`gpuready rbac VERB` prints the rights that a verb needs; an administrator of the cluster can grant them",
        ),
        (
            r"ValidatingAdmissionPolicy '(?P<policy>[^']+)' with binding '(?P<binding>[^']+)' denied request: "
            r"(?P<why>.*)",
            "ValidatingAdmissionPolicy {policy} (binding {binding}) denies {verb_target}: {why}",
            "meet the policy, or ask its owner for an exception",
        ),
        (
            r'admission webhook "(?P<hook>[^"]+)" denied the request(?: without explanation|: (?P<why>.*))?',
            "admission webhook {hook} denies {verb_target}{because}",
            "meet its rule, or ask its owner for an exception",
        ),
        (
            r'failed calling webhook "(?P<hook>[^"]+)": (?P<why>.*)',
            "admission webhook {hook} does not answer, so the API server refuses {verb_target}: {why}",
            "repair the webhook's service; nothing was changed",
        ),
        (
            r'violates PodSecurity "(?P<level>[^"]+)": (?P<why>.*)',
            "Pod Security {level} forbids {target}: {why}",
            "label the namespace pod-security.kubernetes.io/enforce=privileged, or ask who may",
        ),
        (
            r"exceeded quota: (?P<quota>[^,]+), (?P<why>.*)",
            "quota {quota} forbids {target}: {why}",
            "raise the quota, or free what it counts",
        ),
        (
            r"etcdserver: mvcc: database space exceeded",
            "the cluster's data store is full (etcd: database space exceeded), so {target} cannot be written",
            "compact and defragment etcd, then run `etcdctl alarm disarm`",
        ),
        (
            r"etcdserver: no space|no space left on device|[Ii]nsufficient [Ss]torage",
            "the disk of the cluster's data store is full, so {target} cannot be written",
            "free space where etcd keeps its data",
        ),
        (
            r"etcdserver: request is too large|Request entity too large|[Rr]equest is too large",
            "{target} is too large for the API server",
            "make it smaller: etcd takes 1.5 MiB an object",
        ),
        (
            r'[Nn]o matches for kind "(?P<kind>[^"]+)"|could not find the requested resource',
            "the cluster does not serve {resource}",
            "install what provides it (its CustomResourceDefinition), or check the cluster's version",
        ),
        (
            r'^namespaces "(?P<ns>[^"]+)" not found',
            "namespace {ns} is not there",
            "",
        ),
        (
            r"the UID in the precondition|Precondition failed: UID in precondition|uid mismatch: the provided object",
            "{object} is not the one that was read: it has been deleted since",
            "look at it and plan again",
        ),
        (
            r"failed to create typed patch object \([^)]*\): (?P<why>.*)",
            "the API server does not take this form of {target}: {why}",
            "correct the field, or check the version of the cluster",
        ),
        (
            r"the server rejected our request due to an error in our request",  # all that it says about a JSON patch
            "{target} is not as the patch expects it: one of its paths or tests does not fit",
            "look at it and plan again",
        ),
        (
            r"the object has been modified; please apply your changes|the ResourceVersion in the precondition",
            "{object} has been changed by somebody else since it was read",
            "run this again: it starts from the new state",
        ),
    )
)

BY_REASON: dict[str, tuple[str, str]] = {
    "NotFound": ("{object} is not there", ""),
    "AlreadyExists": ("{object} is there already", ""),
    "Expired": ("the state of {resource} that was asked for is no longer kept", "list again"),
    "Gone": ("the state of {resource} that was asked for is no longer kept", "list again"),
    "TooManyRequests": ("the API server is overloaded: {message}", "wait a little and run this again"),
    "ServiceUnavailable": ("the API server cannot serve {resource} now: {message}", "wait a little and run this again"),
    "Timeout": ("the API server did not finish {verb_target} in time: {message}", "look at it, then run this again"),
    "ServerTimeout": ("the API server did not finish {verb_target} in time: {message}", "run this again"),
    "StorageReadError": ("the data store cannot give {target}: {message}", "ask who runs the control plane"),
    "MethodNotAllowed": ("the API server cannot {verb_target}", "check the version of the cluster"),
}


def api_error(code: int, status: Status, target: Target, secrets: tuple[str, ...] = (), **more: Any) -> ApiError:
    """`more` goes to ApiError as it is (maybe_done)."""
    message = clean(status.message, 1000, secrets)
    listed = (status.details.causes if status.details else None) or ()
    causes = tuple(
        Cause(clean(c.reason, 80), clean(c.message, 400, secrets), clean(c.field, 200)) for c in listed[:MAX_CAUSES]
    )
    kind = AlreadyExists if status.reason == "AlreadyExists" else BY_CODE.get(code, ApiError)
    if _is_uid_mismatch(causes, target):
        kind = Conflict
    what, todo = _sentence(code, status.reason, message, causes, target)
    error = kind(
        what, todo, code=code, reason=clean(status.reason, 80), message=message, target=target, causes=causes, **more
    )
    if isinstance(error, Conflict):
        error.fields = field_conflicts(causes)
    if isinstance(error, Gone) and status.metadata:
        error.continue_at = status.metadata.continue_
    return error


def field_conflicts(causes: tuple[Cause, ...]) -> tuple[FieldConflict, ...]:
    """`conflict with "kubectl-client-side-apply" with subresource "status" using apps/v1` names the other manager."""
    found = ((re.match(r'conflict with "(.*?)"', c.message), c) for c in causes if c.reason == "FieldManagerConflict")
    return tuple(FieldConflict(match[1], cause.field) for match, cause in found if match)


def not_kubernetes(code: int, content_type: str, location: str, target: Target, via: str) -> ApiError:
    """An answer without a Status: a proxy, a load balancer or another web server spoke. `via` names the way taken."""
    told = f"{code}, {clean(content_type, 60) or 'no content type'}"
    to = f", sending us to {clean(location, 200)}" if location else ""
    return Unreachable(
        f"what answered at {via} is no Kubernetes API server ({told}{to})",
        "check the server address, and proxy settings (HTTPS_PROXY, NO_PROXY, proxy-url)",
        code=code,
        target=target,
    )


def _is_uid_mismatch(causes: tuple[Cause, ...], target: Target) -> bool:
    """A patch that carries another UID is answered 422 (field is immutable) where a delete is answered 409."""
    return target.verb == "patch" and any(c.field == "metadata.uid" for c in causes)


def _sentence(code: int, reason: str, message: str, causes: tuple[Cause, ...], target: Target) -> tuple[str, str]:
    known = {
        "target": str(target) if target.resource else "this",
        "object": str(target._replace(resource=target.resource.partition("/")[0])) if target.name else "this",
        "resource": target.resource or "this",
        "verb_target": f"{target.verb} {target}".strip(),
        "message": message or "no message",
    }
    fields = field_conflicts(causes)
    if fields:
        owned = ", ".join(f"{f.field} (owned by {f.manager})" for f in fields)
        return (f"{known['target']}: other field managers hold {owned}", "leave these fields to them, or force them")
    if _is_uid_mismatch(causes, target):
        return f"{known['object']} is not the one that was read: it has been deleted since", "look at it and plan again"
    for pattern, what, todo in SENTENCES:
        match = pattern.search(message)
        if match:
            words = {**known, **_words_of(match)}
            return what.format_map(words), todo.format_map(words)
    if reason in BY_REASON and (reason != "NotFound" or target.name):
        what, todo = BY_REASON[reason]
        return what.format_map(known), todo
    named = "; ".join(f"{c.field}: {c.message}" for c in causes if c.field)
    if code == 422 and named:
        return f"the API server finds {known['target']} invalid: {named}", "correct these fields"
    told = f"{code} {reason}".strip()
    return f"the API server refused {known['verb_target']} ({told}): {known['message']}", ""


def _words_of(match: re.Match[str]) -> dict[str, str]:
    words = {name: value or "" for name, value in match.groupdict().items()}
    if words.get("group"):
        resource, _, sub = words["res"].partition("/")  # kubectl's form: deployments.apps/scale
        words["res"] = f"{resource}.{words['group']}" + (f"/{sub}" if sub else "")
    words["where"] = f"in namespace {words['ns']}" if words.get("ns") else "cluster-wide"
    words["because"] = f": {words['why']}" if words.get("why") else ""
    return words
