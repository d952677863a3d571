"""What is read from the details of a refusal, and what of its words may be shown."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuready.adapters.kube_errors import api_error, read_status
from gpuready.adapters.kube_words import clean
from gpuready.model.errors import (
    ApiError,
    Cause,
    Conflict,
    FieldConflict,
    Gone,
    Target,
)

DS = Target("patch", "daemonsets.apps", "agent", "gpuready-system")


def refused(code: int, reason: str, target: Target, *causes: dict[str, str], message: str = "") -> ApiError:
    body: dict[str, Any] = {"kind": "Status", "code": code, "reason": reason, "message": message}
    status = read_status(msgspec.json.encode({**body, "details": {"causes": causes}}))
    assert status
    return api_error(code, status, target)


def test_a_field_conflict_names_manager_and_field() -> None:
    reason = "FieldManagerConflict"
    error = refused(
        409,
        "Conflict",
        DS,
        {"reason": reason, "message": 'conflict with "argocd-controller" using apps/v1', "field": ".spec.replicas"},
        {"reason": reason, "message": 'conflict with "kubelet" with subresource "status"', "field": ".status.x"},
        message="Apply failed with 2 conflicts",
    )  # fmt: skip
    assert isinstance(error, Conflict)
    assert error.fields == (
        FieldConflict("argocd-controller", ".spec.replicas"),
        FieldConflict("kubelet", ".status.x"),
    )
    assert str(error) == (
        "daemonsets.apps/agent in namespace gpuready-system: other field managers hold "
        ".spec.replicas (owned by argocd-controller), .status.x (owned by kubelet); "
        "leave these fields to them, or force them"
    )


def test_invalid_fields_are_named() -> None:
    error = refused(
        422,
        "Invalid",
        DS,
        {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.template"},
        {"reason": "FieldValueInvalid", "message": 'Invalid value: "x"', "field": "spec.selector"},
    )
    assert str(error) == (
        "the API server finds daemonsets.apps/agent in namespace gpuready-system invalid: "
        'spec.template: Required value; spec.selector: Invalid value: "x"; correct these fields'
    )
    assert error.causes == (
        Cause("FieldValueRequired", "Required value", "spec.template"),
        Cause("FieldValueInvalid", 'Invalid value: "x"', "spec.selector"),
    )


def test_a_patch_with_the_uid_of_another_object_is_a_conflict() -> None:
    cause = {"reason": "FieldValueInvalid", "message": "field is immutable", "field": "metadata.uid"}
    error = refused(422, "Invalid", DS, cause)
    assert (type(error), error.what) == (
        Conflict,
        "daemonsets.apps/agent in namespace gpuready-system is not the one that was read: it has been deleted since",
    )


def test_a_gone_list_keeps_the_token_with_which_it_can_go_on() -> None:
    body = {"kind": "Status", "code": 410, "reason": "Expired", "metadata": {"continue": "further"}}
    status = read_status(msgspec.json.encode(body))
    assert status
    error = api_error(410, status, Target("list", "pods"))
    assert isinstance(error, Gone)
    assert error.continue_at == "further"


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", b'{"kind":"Status","code":"x"}', b"[" * 5000, b'"Status"'])
def test_what_is_no_status(body: bytes) -> None:
    assert read_status(body) is None


# sentence, text, what may be shown
SECRETS: list[tuple[str, str, str]] = [
    ("a JWT", "got eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln there", "got [hidden] there"),
    ("a bearer token", "Authorization: Bearer abc.def", "Authorization: Bearer [hidden]"),
    ("a password in a URL", "proxy http://me:pw@p:3128 refused", "proxy http://[hidden]@p:3128 refused"),
    ("a key", "x -----BEGIN EC PRIVATE KEY-----\nMHc\n-----END EC PRIVATE KEY----- y", "x [hidden] y"),
    ("a key that was cut off", "x -----BEGIN PRIVATE KEY-----\nMHc", "x [hidden]"),
    ("a query", "GET /x?token=abc&a=b failed", "GET /x?token=[hidden]&a=b failed"),
    ("control characters", "a\x1b]0;b\x07c\r\nd", "a ]0;b c d"),
]


@pytest.mark.parametrize(("text", "shown"), [c[1:] for c in SECRETS], ids=[c[0] for c in SECRETS])
def test_clean(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(
    st.text(max_size=200), st.text(alphabet="abcdefghijklmnop0123456789", min_size=8, max_size=40), st.text(max_size=99)
)
def test_a_known_secret_never_comes_out(before: str, secret: str, after: str) -> None:
    assert secret not in clean(before + secret + after, 1000, (secret,))


@given(st.text(), st.integers(10, 100))
def test_what_comes_out_is_one_bounded_line(text: str, limit: int) -> None:
    shown = clean(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
