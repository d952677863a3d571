"""Secrets planted anywhere in a text do not come out of it; ordinary text does, unchanged."""

from __future__ import annotations

import base64
import json
import os
import string
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuready.model.redact import redact

relaxed = settings(
    deadline=None, max_examples=int(os.environ.get("REDACT_EXAMPLES", "40"))
)  # a busy machine is no fault of the patterns
WORD = st.text(string.ascii_letters + string.digits, min_size=16, max_size=60)
PASSWORD = st.text(string.ascii_letters + string.digits + "!$%^&*()_+~.-", min_size=12, max_size=30).filter(
    lambda s: s.strip() == s and any(c.isalnum() for c in s)
)
AROUND = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=40)
LINES = st.lists(st.sampled_from(["", "error: it broke", "  at: node/gpu-1", "apiVersion: v1", '{"a": 1}', "- x", "'"]))


def segment(size: int) -> st.SearchStrategy[str]:
    return st.text(string.ascii_letters + string.digits + "-_", min_size=size, max_size=80)


@st.composite
def jwt(draw: st.DrawFn) -> str:
    return f"eyJ{draw(segment(10))}.{draw(segment(20))}.{draw(segment(20))}"


@st.composite
def pem(draw: st.DrawFn) -> str:
    kind = draw(st.sampled_from(["RSA PRIVATE KEY", "PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"]))
    body = base64.encodebytes(draw(st.binary(min_size=60, max_size=200))).decode()
    return f"-----BEGIN {kind}-----\n{body}-----END {kind}-----"


BASE64_84 = st.binary(min_size=63, max_size=63).map(lambda b: base64.b64encode(b).decode())


def gone(secret: str, text: str, around: str = "") -> bool:
    """Whether no eight characters of the secret, one after the other, are left, but for those that stood around it."""
    pieces = (secret[i : i + 8] for i in range(max(1, len(secret) - 7)))
    return not any(p in text and p not in around for p in pieces)


@relaxed
@given(AROUND, jwt(), AROUND)
def test_a_jwt_goes_wherever_it_stands(before: str, token: str, after: str) -> None:
    assert gone(token.split(".")[2], redact(before + token + after), before + after)


@relaxed
@given(AROUND, WORD.filter(lambda w: not w.islower()), AROUND)
def test_a_bearer_token_goes(before: str, token: str, after: str) -> None:
    assert gone(token, redact(f"{before} Authorization: Bearer {token}\n{after}"), before + after)
    assert gone(token, redact(f"{before} used bearer {token} {after}"), before + after)


@relaxed
@given(AROUND, pem(), AROUND)
def test_a_pem_block_goes_also_as_json_as_base64_and_when_cut(before: str, key: str, after: str) -> None:
    body = key.split("\n")[1]
    forms = [key, json.dumps({"k": key}), base64.b64encode(key.encode()).decode(), key[: len(key) - 20], key[20:]]
    for form in forms:
        shown = redact(before + form + after)
        assert gone(body, shown, before + after)
        assert gone(base64.b64encode(body.encode()).decode()[4:-8], shown, before + after)


@relaxed
@given(AROUND, WORD, BASE64_84, AROUND)
def test_ngc_keys_go(before: str, word: str, old: str, after: str) -> None:
    assert gone(word, redact(f"{before}nvapi-{word} {after}"), before + after)
    auth = base64.b64encode(f"$oauthtoken:{old}".encode()).decode()
    docker = json.dumps({"auths": {"nvcr.io": {"username": "$oauthtoken", "password": old, "auth": auth}}})
    for form in (f"$oauthtoken:{old}", f"docker login -u '$oauthtoken' -p {old}", docker, json.dumps(docker), auth):
        shown = redact(f"{before} {form} {after}")
        assert gone(old, shown, before + after)
        assert gone(auth[16:], shown, before + after)


@relaxed
@given(LINES, st.sampled_from(["http", "https", "socks5"]), PASSWORD, LINES)
def test_the_password_in_a_url_goes(before: list[str], scheme: str, password: str, after: list[str]) -> None:
    for form in (f"{scheme}://me:{password}@proxy.example:3128/x", f"{scheme}://me:a/{password}@proxy:1"):
        shown = redact("\n".join([*before, f"proxy {form} refused", *after]))
        assert gone(password, shown)
        assert "proxy" in shown


KEYS = ("token", "client-key-data", "password", "id-token", "refresh-token", "client-secret", "access_token")


@relaxed
@given(LINES, st.sampled_from(KEYS), PASSWORD, LINES)
def test_secret_values_of_a_kubeconfig_go_in_every_form(
    before: list[str], key: str, secret: str, after: list[str]
) -> None:
    user = {"users": [{"name": "admin", "user": {key: secret, "username": "x"}}]}
    escaped = json.dumps({"message": json.dumps(user)})
    forms = [
        yaml.safe_dump(user),
        yaml.safe_dump(user, default_style='"'),
        yaml.safe_dump(user, default_flow_style=True, width=10000),
        f"    {key}: |\n      {secret}\n    username: x\n",
        f"    {key}: >-\n\n      {secret}",
        f"    {key}: {secret}",
        f"    {key}: two {secret}",
        json.dumps(user),
        json.dumps(user, indent=2),
        escaped,
        json.dumps(escaped),
        json.dumps({key: f'a"b\\{secret}'}),
        f"run with --{key}={secret} failed",
        f"run with --{key} {secret} failed",
        f"{key.upper().replace('-', '_')}={secret}",
        str(user),
    ]
    for form in forms:
        assert gone(secret, redact("\n".join([*before, form, *after]))), form


@relaxed
@given(LINES, st.dictionaries(st.sampled_from(["a", "tls.key", "x-y"]), WORD, min_size=1), st.booleans(), LINES)
def test_data_of_a_secret_goes_in_yaml_and_json(
    before: list[str], values: dict[str, str], text: bool, after: list[str]
) -> None:
    field = "stringData" if text else "data"
    data = {k: f'{{"x": "}}{v}"}}' if text else base64.b64encode(v.encode()).decode() for k, v in values.items()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, field: data}
    late = dict(reversed(secret.items()))
    listed = {"kind": "List", "items": [secret, late]}
    applied = {"metadata": {"annotations": {"last-applied": json.dumps(secret)}}}
    around = json.dumps([{**secret, field: {}}, "annotations", "items"])
    for obj in (secret, late, listed, applied):
        for form in (yaml.safe_dump(obj, sort_keys=False), json.dumps(obj), json.dumps(obj, indent=2)):
            shown = redact("\n".join([*before, form, *after]))
            assert all(gone(v, shown, around) for v in (*values.values(), *data.values())), form


@relaxed
@given(AROUND | jwt() | pem(), LINES)
def test_redacting_twice_changes_nothing_more(text: str, lines: list[str]) -> None:
    once = redact("\n".join([text, *lines]))
    assert redact(once) == once


ORDINARY = [
    "2 to create, 0 to change, 0 to delete, 1 skipped",
    "the bearer token has expired; kubectl config view --minify names the user",
    "the server does not accept the token: expired",
    "invalid bearer token, Token has been invalidated",
    "automountServiceAccountToken: false",
    "imagePullSecrets: [{name: regcred}]",
    "env.valueFrom.secretKeyRef: regcred",
    "image registry.example:5000/gpuready@sha256:" + "0123456789abcdef" * 4,
    "see https://registry.example:5000/gpuready@sha256:" + "0123456789abcdef" * 4,
    "https://10.0.0.5:6443/api/v1/nodes?limit=500",
    "GPU-3f2a9c01-8a55-4a3f-8ac2-c1c1f0c1a0b1",
    "secret/gpuready-journal: forbidden",
    '{"token": null, "password": ""}',
    "kind: ConfigMap\ndata:\n  a: b\n",
    "mail me@example.org about ds/gpuready-agent",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"token": "abc", "user": "me"}', '{"token": "[hidden]", "user": "me"}'),
        (r'{"m": "{\"password\": \"a\\\"b\", \"n\": 1}"}', r'{"m": "{\"password\": \"[hidden]\", \"n\": 1}"}'),
        ("token: |\n  abc\n  def\nname: x\n", "token: [hidden]\nname: x\n"),
        ("http://me:pw@proxy:3128", "http://[hidden]@proxy:3128"),
        ("kind: Secret\ndata:\n  a: b\nname: x\n", "kind: Secret\ndata: '[hidden]'\nname: x\n"),
        ('{"data": {"a": "b"}, "kind": "Secret"}', '{"data": "[hidden]", "kind": "Secret"}'),
    ],
)
def test_what_is_left_is_still_readable(text: str, shown: str) -> None:
    assert redact(text) == shown


@pytest.mark.parametrize(
    "unit",
    ["-", "a", "a ", "\\", '"', "eyJ", "a://b:c", "token:", "-----END A-----", "-----BEGIN A-----", "$oauthtoken", "{",
     "data:\n ", '"data":{', " \n", "--token ", "a-", "bearer "],
)  # fmt: skip
def test_long_hostile_text_takes_linear_time(unit: str) -> None:
    text = "kind: Secret\n" + unit * (50_000 // len(unit))
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 5
