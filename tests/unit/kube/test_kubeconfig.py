"""kubeconfig files: merged as kubectl merges them, or refused with file and key."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpuready.adapters.kube_connection import Connection, choose
from gpuready.model.errors import UserError

ONE = """
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: shared
  cluster: {server: https://first:6443, certificate-authority: ca/first.pem}
- {name: only-one, cluster: {server: "https://one:6443"}}
contexts:
- {name: one, context: {cluster: shared, user: shared, namespace: team}}
users:
- {name: shared, user: {token: first}}
preferences: {}
"""
TWO = """
apiVersion: v1
kind: Config
current-context: two
clusters:
- {name: shared, cluster: {server: "https://second:6443", proxy-url: "http://p:1"}}
- {name: only-two, cluster: {server: "https://two:6443"}}
contexts:
- {name: one, context: {cluster: only-two}}
- {name: two, context: {cluster: only-two, user: shared}}
users:
- {name: shared, user: {token: second, client-key: k}}
"""


def files(folder: Path, **texts: str) -> dict[str, Path]:
    found = {}
    for name, text in texts.items():
        found[name] = folder / name / "config"
        found[name].parent.mkdir(parents=True, exist_ok=True)
        found[name].write_text(text)
    return found


def test_the_first_file_that_names_an_entry_decides_it_wholly(tmp_path: Path) -> None:
    at = files(tmp_path, a=ONE, b=TWO)
    (tmp_path / "a" / "ca").mkdir()
    (tmp_path / "a" / "ca" / "first.pem").write_bytes(b"PEM")
    env = {"KUBECONFIG": os.pathsep.join([str(tmp_path / "missing"), str(at["a"]), "", str(at["b"])])}
    assert _main_parts(choose(env=env)) == {
        "context": "one", "cluster": "shared", "server": "https://first:6443", "namespace": "team", "ca": b"PEM",
        "token": "first", "key": "", "proxy": "", "source": str(at["a"]),
    }  # fmt: skip
    assert _main_parts(choose(context="two", env=env)) == {
        "context": "two", "cluster": "only-two", "server": "https://two:6443", "namespace": "default", "ca": b"",
        "token": "first", "key": "", "proxy": "", "source": str(at["a"]),
    }  # fmt: skip


def _main_parts(c: Connection) -> dict[str, Any]:
    return {
        "context": c.context, "cluster": c.cluster, "server": c.server, "namespace": c.namespace, "ca": c.ca,
        "token": c.user.token, "key": c.user.client_key, "proxy": c.proxy, "source": c.source,
    }  # fmt: skip


@pytest.mark.skipif(not shutil.which("kubectl"), reason="compares with kubectl")
@pytest.mark.parametrize("context", ["one", "two"])
def test_kubectl_merges_to_the_same(context: str, tmp_path: Path) -> None:
    at = files(tmp_path, a=ONE.replace(", certificate-authority: ca/first.pem", ""), b=TWO)
    env = {
        "KUBECONFIG": os.pathsep.join(str(p) for p in at.values()),
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
    }
    command = ["kubectl", "config", "view", "--minify", "--raw", "-o", "json", "--context", context]
    told = json.loads(subprocess.run(command, env=env, capture_output=True, check=True, timeout=60).stdout)
    ours = choose(context=context, env=env)
    assert {"server": ours.server, "token": ours.user.token, "namespace": ours.namespace} == {
        "server": told["clusters"][0]["cluster"]["server"],
        "token": told["users"][0]["user"]["token"],
        "namespace": told["contexts"][0]["context"].get("namespace", "default"),
    }


# sentence, --kubeconfig, KUBECONFIG, HOME with a config in it, what is chosen
PLACES: list[tuple[str, str | None, str | None, bool, str]] = [
    ("the file named wins", "a", "b", True, "a"),
    ("then KUBECONFIG", None, "b", True, "b"),
    ("an empty KUBECONFIG counts as none", None, "", True, "home"),
    ("then the home directory", None, None, True, "home"),
]


@pytest.mark.parametrize(("flag", "variable", "home", "expected"), [c[1:] for c in PLACES], ids=[c[0] for c in PLACES])
def test_where_it_looks(flag: str | None, variable: str | None, home: bool, expected: str, tmp_path: Path) -> None:
    def named(name: str) -> str:
        return (
            f"{{current-context: {name}, contexts: [{{name: {name}, context: {{cluster: k}}}}], "
            "clusters: [{name: k, cluster: {server: 'https://k'}}]}"
        )

    at = files(tmp_path, a=named("a"), b=named("b"), **{"home/.kube": named("home")})
    env = {"HOME": str(tmp_path / "home")} if home else {}
    if variable is not None:
        env["KUBECONFIG"] = str(at[variable]) if variable else ""
    assert choose(at[flag] if flag else None, env=env).context == expected


# sentence, what is done, what is said
REFUSALS: list[tuple[str, Callable[[Path], Any], str]] = [
    (
        "nothing anywhere",
        lambda d: choose(env={"HOME": str(d)}),
        "no kubeconfig found (looked at {d}/.kube/config); name one with --kubeconfig or KUBECONFIG",
    ),
    (
        "KUBECONFIG that names nothing there is",
        lambda d: choose(env={"HOME": str(d), "KUBECONFIG": f"{d}/x:{d}/y"}),
        "no kubeconfig found (looked at {d}/x and {d}/y); name one with --kubeconfig or KUBECONFIG",
    ),
    (
        "no home",
        lambda _: choose(env={}),
        "no kubeconfig found (looked at nowhere: neither KUBECONFIG nor HOME is set); "
        "name one with --kubeconfig or KUBECONFIG",
    ),
    (
        "the file named is not there",
        lambda d: choose(d / "no", env={}),
        "{d}/no (kubeconfig) cannot be read: No such file or directory; check the path and its permissions",
    ),
    (
        "a directory",
        lambda d: choose(d, env={}),
        "{d} (kubeconfig) cannot be read: Is a directory; check the path and its permissions",
    ),
    (
        "an empty file",
        lambda d: choose(_file(d, ""), env={}),
        "{d}/f: no current-context; name one with --context; there are: none",
    ),
    (
        "no current-context",
        lambda d: choose(_file(d, ONE.replace("current-context: one", "")), env={}),
        "{d}/f: no current-context; name one with --context; there are: one",
    ),
    (
        "an unknown --context",
        lambda d: choose(_file(d, ONE), "prod", env={}),
        "{d}/f: no context prod; name one with --context; there are: one",
    ),
    (
        "a context whose cluster is missing",
        lambda d: choose(_file(d, ONE.replace("cluster: shared, user", "cluster: lost, user")), env={}),
        "{d}/f: context one names cluster 'lost', which no file has; there are: only-one, shared",
    ),
    (
        "a context whose user is missing",
        lambda d: choose(_file(d, ONE.replace("user: shared", "user: lost")), env={}),
        "{d}/f: context one names user 'lost', which no file has; there are: shared",
    ),
    (
        "a certificate authority that is not there",
        lambda d: choose(_file(d, ONE), env={}),
        "{d}/ca/first.pem (certificate-authority) cannot be read: No such file or directory; "
        "check the path and its permissions",
    ),
    (
        "broken YAML",
        lambda d: choose(_file(d, "a: b\nc: [1, 2\nd: e\n"), env={}),
        "{d}/f, line 3, column 2: did not find expected ',' or ']'; correct the YAML at this place",
    ),
    (
        "a tab in the indentation",
        lambda d: choose(_file(d, "users:\n\t- name: a\n"), env={}),
        "{d}/f, line 2, column 1: found character that cannot start any token; correct the YAML at this place",
    ),
    (
        "a key of another type, whose value is not shown",
        lambda d: choose(_file(d, "users: [{name: u, user: {token: 123456}}]"), env={}),
        "{d}/f: users[0].user.token: Expected str, got int; correct this key in the kubeconfig",
    ),
    (
        "a list where a mapping belongs",
        lambda d: choose(_file(d, "clusters: {a: b}"), env={}),
        "{d}/f: clusters: Expected array, got object; correct this key in the kubeconfig",
    ),
    (
        "an entry without a name",
        lambda d: choose(_file(d, "users: [{user: {}}]"), env={}),
        "{d}/f: users[0]: Object missing required field name; correct this key in the kubeconfig",
    ),
    (
        "a text",
        lambda d: choose(_file(d, "hello"), env={}),
        "{d}/f is not a kubeconfig: it holds no mapping; name a kubeconfig file",
    ),
    (
        "terminal escapes in a name are shown, not obeyed",
        lambda d: choose(_file(d, '{"current-context": "\\u001b[2Jx"}'), env={}),
        "{d}/f: no context \\x1b[2Jx; name one with --context; there are: none",
    ),
    (
        "bytes that are no text",
        lambda d: choose(_file(d, b"a: \xff"), env={}),
        "{d}/f is not UTF-8 text (byte 3); name a kubeconfig file",
    ),
    (
        "two documents",
        lambda d: choose(_file(d, "a: b\n---\nc: d\n"), env={}),
        "{d}/f, line 2, column 1: but found another document; correct the YAML at this place",
    ),
    (
        "a Python object in it",
        lambda d: choose(_file(d, "users: !!python/object/apply:os.system [id]"), env={}),
        "{d}/f, line 1, column 8: could not determine a constructor for the tag "
        "'tag:yaml.org,2002:python/object/apply:os.system'; correct the YAML at this place",
    ),
    (
        "nesting that would overflow the parser's stack",
        lambda d: choose(_file(d, "[" * 100_000), env={}),
        "{d}/f is nested more than 64 deep; name a kubeconfig file",
    ),
    (
        "aliases that stand for a million nodes",
        lambda d: choose(_file(d, _laughs()), env={}),
        "{d}/f has too many or too deeply nested values; name a kubeconfig file",
    ),
    (
        "an alias of itself",
        lambda d: choose(_file(d, "users: &a [*a]"), env={}),
        "{d}/f has too many or too deeply nested values; name a kubeconfig file",
    ),
    (
        "a huge file",
        lambda d: choose(_file(d, "#" * (5 << 20)), env={}),
        "{d}/f (kubeconfig) is larger than 4 MiB; name the right file",
    ),
    (
        "no server",
        lambda d: choose(_file(d, _cluster({})), env={}),
        "{d}/f: cluster k names no server; add the address of the API server",
    ),
    (
        "a server that is no address",
        lambda d: choose(_file(d, _cluster({"server": "https://a b"})), env={}),
        "{d}/f: cluster k: server is not an http or https address; write it as https://HOST:PORT",
    ),
    (
        "a server with an impossible port",
        lambda d: choose(_file(d, _cluster({"server": "https://a:99999"})), env={}),
        "{d}/f: cluster k: server is not an http or https address; write it as https://HOST:PORT",
    ),
    (
        "a password in the server, which is not shown",
        lambda d: choose(_file(d, _cluster({"server": "https://me:pw@a"})), env={}),
        "{d}/f: cluster k: server holds a user name or password; move it to the users part of the kubeconfig",
    ),
    (
        "a proxy-url that is none, which is not shown",
        lambda d: choose(_file(d, _cluster({"server": "https://a", "proxy-url": "ftp://me:pw@p"})), env={}),
        "{d}/f: cluster k: proxy-url is no http, https or socks5 address; write it as http://HOST:PORT",
    ),
    (
        "a variable that names no proxy",
        lambda d: choose(_file(d, _cluster({"server": "https://a"})), env={"HTTPS_PROXY": "gopher://p"}),
        "HTTPS_PROXY is no http, https or socks5 address; write it as http://HOST:PORT",
    ),
    (
        "an authority and insecure-skip-tls-verify, which contradict each other",
        lambda d: choose(
            _file(
                d,
                _cluster(
                    {"server": "https://a", "insecure-skip-tls-verify": True, "certificate-authority-data": "AAAA"}
                ),
            ),
            env={},
        ),
        "{d}/f: cluster k has a certificate authority and insecure-skip-tls-verify; remove insecure-skip-tls-verify",
    ),
]  # fmt: skip


def _file(folder: Path, text: str | bytes) -> Path:
    path = folder / "f"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def _cluster(cluster: dict[str, Any]) -> str:
    return json.dumps(
        {
            "current-context": "c",
            "clusters": [{"name": "k", "cluster": cluster}],
            "contexts": [{"name": "c", "context": {"cluster": "k"}}],
        }
    )


def _laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    return "\n".join(lines)


@pytest.mark.parametrize(("act", "said"), [c[1:] for c in REFUSALS], ids=[c[0] for c in REFUSALS])
def test_it_refuses(act: Callable[[Path], Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        act(tmp_path)
    assert str(caught.value) == said.format(d=tmp_path)


# sentence, cluster entry, user entry, server that is used
SERVERS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("a slash at the end", {"server": "https://a:6443/"}, {}, "https://a:6443"),
    ("a path, as Rancher has it", {"server": "https://r/k8s/clusters/c-1"}, {}, "https://r/k8s/clusters/c-1"),
    ("no scheme, but TLS is meant", {"server": "a:6443", "insecure-skip-tls-verify": True}, {}, "https://a:6443"),
    ("no scheme and a client certificate", {"server": "a:6443"}, {"client-certificate": "c"}, "https://a:6443"),
    ("no scheme and nothing about TLS", {"server": "a:8080"}, {}, "http://a:8080"),
    ("an IPv6 address", {"server": "https://[fd00::1]:6443"}, {}, "https://[fd00::1]:6443"),
]


@pytest.mark.parametrize(("cluster", "user", "expected"), [c[1:] for c in SERVERS], ids=[c[0] for c in SERVERS])
def test_the_server(cluster: dict[str, Any], user: dict[str, Any], expected: str, tmp_path: Path) -> None:
    tree = json.loads(_cluster(cluster))
    tree["users"] = [{"name": "u", "user": user}]
    tree["contexts"][0]["context"]["user"] = "u"
    assert choose(_file(tmp_path, json.dumps(tree)), env={}).server == expected


# sentence, cluster entry, whether the identity of the server is unproven
INSECURE: list[tuple[str, dict[str, Any], bool]] = [
    ("TLS, checked", {"server": "https://a"}, False),
    ("TLS, not checked", {"server": "https://a", "insecure-skip-tls-verify": True}, True),
    ("plain http to another machine", {"server": "http://a:8080"}, True),
    ("plain http to kubectl proxy here", {"server": "http://127.0.0.1:8001"}, False),
]


@pytest.mark.parametrize(("cluster", "expected"), [c[1:] for c in INSECURE], ids=[c[0] for c in INSECURE])
def test_insecure(cluster: dict[str, Any], expected: bool, tmp_path: Path) -> None:
    assert choose(_file(tmp_path, _cluster(cluster)), env={}).insecure is expected


def test_nulls_are_absent_and_json_may_hold_tabs(tmp_path: Path) -> None:
    text = (
        '{\t"current-context": "c", "users": null, "preferences": null,\n\t"clusters": [{"name": "k", "cluster": '
        '{"server": "https://a", "proxy-url": null, "extensions": null}}],\n\t'
        '"contexts": [{"name": "c", "context": {"cluster": "k", "user": "", "namespace": null}}, null]}'
    )
    assert choose(_file(tmp_path, text), env={}).server == "https://a"


def test_proxy_url_wins_over_no_proxy(tmp_path: Path) -> None:
    path = _file(tmp_path, _cluster({"server": "https://a", "proxy-url": "socks5://p:1080"}))
    connection = choose(path, env={"HTTPS_PROXY": "http://q", "NO_PROXY": "*"})
    assert (connection.proxy, connection.proxy_from) == ("socks5://p:1080", "proxy-url")
