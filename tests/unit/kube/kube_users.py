"""Whom the tests of the Kubernetes client act as: certificates, tokens, plugins, and what a server saw of them."""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from kube_double import Asked, Authority, Server

CA = Authority()
OTHER_CA = Authority("other-ca")
SERVER = CA.issue("server", ("127.0.0.1", "localhost", "api.example"))
ALICE = CA.issue("alice")
BOB = CA.issue("bob")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def jwt(ends: float) -> str:
    parts = [{"alg": "none"}, {"exp": ends, "sub": "alice"}]
    return ".".join([base64.urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts] + ["c2ln"])


def without_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)


def trusting(server: Server, **more: Any) -> dict[str, Any]:
    return {"server": server.url, "certificate-authority-data": b64(CA.pem), **more}


def plugin(folder: Path, *answers: dict[str, Any], version: str = "v1", **spec: Any) -> dict[str, Any]:
    """users[].user.exec: a program that gives its answers in turn and notes what it was told."""
    program = folder / "get-token"
    listed = [
        {"apiVersion": f"client.authentication.k8s.io/{version}", "kind": "ExecCredential", "status": answer}
        for answer in answers
    ]
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, pathlib, sys\n"
        f"here = pathlib.Path({str(folder)!r})\n"
        "told = json.loads(os.environ['KUBERNETES_EXEC_INFO'])\n"
        "note = here / 'told.json'\n"
        "seen = json.loads(note.read_text()) if note.exists() else []\n"
        "note.write_text(json.dumps([*seen, [sys.argv[1:], os.environ.get('REGION'), told]]))\n"
        f"answers = json.loads({json.dumps(listed)!r})\n"
        "print(json.dumps(answers[min(len(seen), len(answers) - 1)]))\n"
    )
    program.chmod(0o755)
    mode = {"interactiveMode": "Never"} if version == "v1" else {}
    return {"command": str(program), "apiVersion": f"client.authentication.k8s.io/{version}"} | mode | spec


def told(folder: Path) -> list[Any]:
    return list(json.loads((folder / "told.json").read_text()))


class Seen(NamedTuple):
    """What a request showed of us: Authorization, name in the client certificate, Impersonate-* headers."""

    authorization: str = ""
    client: str = ""
    impersonate: tuple[tuple[str, str], ...] = ()


def seen(asked: Asked) -> Seen:
    acting = sorted((k, ", ".join(v)) for k, v in asked.headers.items() if k.startswith("impersonate-"))
    return Seen(asked.header("authorization"), asked.client, tuple(acting))


def write(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    return path.name  # relative to the kubeconfig, which lies beside it
