"""Secrets of every kind, planted in every kind of evidence, come out of no output of the doctor's verbs."""

from __future__ import annotations

import base64
import gzip
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from gpuready.adapters.bundle import Recorder
from gpuready.cli import doctor
from gpuready.cli.main import run
from gpuready.engine.diagnose import diagnose
from gpuready.engine.evidence import read_evidence
from gpuready.engine.why import pod_target, why
from gpuready.model.errors import NotFound
from gpuready.model.facts.cluster import Identity
from gpuready.model.redact import redact
from gpuready.report.doctor_text import doctor_text
from gpuready.report.json_out import to_json, to_yaml
from gpuready.report.junit import doctor_junit
from gpuready.report.why_text import why_text

WORD = "Zq8vK2mXw7Rt4Yp1Lc9Hs6Nd3Bf5Gj0T"
BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7Zq8vK2mXw7Rt"
PEM = f"-----BEGIN PRIVATE KEY-----\n{BODY}\n{BODY[::-1]}\n-----END PRIVATE KEY-----"
JWT = f"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.{WORD}"
AUTH = base64.b64encode(f"$oauthtoken:{WORD}".encode()).decode()
DOCKER = json.dumps({"auths": {"nvcr.io": {"username": "$oauthtoken", "password": WORD, "auth": AUTH}}})
KUBECONFIG = yaml.safe_dump(
    {"apiVersion": "v1", "kind": "Config", "users": [{"name": "me", "user": {"token": WORD, "client-key-data": WORD}}]}
)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# what -> (as it is met, what of it must never be seen again)
SECRETS: dict[str, tuple[str, tuple[str, ...]]] = {
    "an NGC key": (f"nvapi-{WORD}", (WORD,)),
    "an NGC key in a login": (f"docker login nvcr.io -u '$oauthtoken' -p {WORD}", (WORD,)),
    "a licence token": (JWT, (WORD,)),
    "a private key": (PEM, (BODY, BODY[::-1])),
    "a private key on one line": (PEM.replace("\n", "\\n"), (BODY,)),
    "a bearer token": (f"Authorization: Bearer {WORD}", (WORD,)),
    "a kubeconfig": (KUBECONFIG, (WORD,)),
    "registry auth": (f'"auth": "{AUTH}"', (AUTH, WORD)),
    "registry auth in YAML": (f"auth: {AUTH}", (AUTH,)),
    "a docker config": (DOCKER, (WORD, AUTH)),
    "a docker config in a string": (json.dumps(DOCKER), (WORD, AUTH)),
    "a URL with a password": (f"https://me:{WORD}@registry.example/v2/", (WORD,)),
    "a proxy with a password": (f"HTTPS_PROXY=http://me:{WORD}@proxy.example:3128", (WORD,)),
    "AWS keys": (f"AKIA{WORD[:16].upper()} aws_secret_access_key={WORD}", (WORD, f"AKIA{WORD[:16].upper()}")),
    "a variable named *_TOKEN": (f"HF_TOKEN={WORD}", (WORD,)),
    "a variable named *PASSWORD": (f"dbPassword={WORD}", (WORD,)),
    "a variable of a container": (f"- name: HF_TOKEN\n  value: {WORD}", (WORD,)),
    "a variable of a container in JSON": (json.dumps({"name": "NGC_API_KEY", "value": WORD}), (WORD,)),
    "a flag": (f"--token {WORD} --password={WORD}", (WORD,)),
    "a flag in a list": (f"- --password\n- {WORD}", (WORD,)),
    "a Secret": (yaml.safe_dump({"kind": "Secret", "data": {"key": b64(WORD)}, "apiVersion": "v1"}), (b64(WORD),)),
    "base64 of an NGC key": (b64(f"nvapi-{WORD}"), (b64(f"nvapi-{WORD}")[8:-8],)),
    "base64 of a private key": (b64(PEM), (b64(PEM)[60:90],)),
    "base64 of a licence token": (b64(JWT), (b64(JWT)[60:90],)),
    "base64 of a docker config": (b64(DOCKER), (b64(DOCKER)[60:90],)),
    "base64 of a kubeconfig": (b64(KUBECONFIG), (b64(KUBECONFIG)[60:90],)),
    "base64 of a variable": (b64(f"DB_PASSWORD={WORD}"), (b64(f"DB_PASSWORD={WORD}")[20:40],)),
}
each_secret = pytest.mark.parametrize(("secret", "gone"), SECRETS.values(), ids=SECRETS)
IDENTITY = Identity(uid="7c1e", server="https://10.0.0.5:6443", version="v1.34.4")
FAILED = "Failed to pull image nvcr.io/nvidia/driver:580: 401 Unauthorized"


class Api:
    """One GPU node and one failing pod of the driver; the secret stands wherever somebody can write."""

    def __init__(self, secret: str) -> None:
        self.said = f"{FAILED}: {secret}"
        self.secret = secret

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        lists: dict[str, Callable[[], Any]] = {
            "/api/v1/nodes": self.node,
            "/api/v1/pods": self.pod,
            "/api/v1/events": self.event,
        }
        if path not in lists:
            raise NotFound(f"{path} is not there: {self.secret}", self.secret, code=404)
        yield json.dumps({"items": [lists[path]()]}).encode()

    def meta(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "namespace": "gpu-operator",
            "uid": "u",
            "annotations": {"note": self.said, "example.com/api-token": WORD},
            "managedFields": [
                {"manager": self.secret, "fieldsV1": {"f:metadata": {"f:labels": {f"f:{self.secret}": {}}}}}
            ],
        }

    def node(self) -> dict[str, Any]:
        ready = {"type": "Ready", "status": "False", "reason": "KubeletNotReady", "message": self.said}
        labels = {"nvidia.com/gpu.present": "true"}
        return {"metadata": {**self.meta("gpu-1"), "labels": labels}, "status": {"conditions": [ready]}}

    def pod(self) -> dict[str, Any]:
        env = [{"name": n, "value": self.secret} for n in ("SESSION", "HF_TOKEN", "HTTPS_PROXY", "NVIDIA_X")]
        container = {"name": "nvidia-driver-ctr", "env": env, "args": ["--password", WORD, self.secret]}
        status = {
            "name": "nvidia-driver-ctr",
            "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff", "message": self.said}},
            "lastState": {"terminated": {"exitCode": 1, "reason": "Error", "message": self.said}},
        }
        return {
            "metadata": self.meta("nvidia-driver-daemonset-x"),
            "spec": {"nodeName": "gpu-1", "containers": [container]},
            "status": {"phase": "Pending", "message": self.said, "containerStatuses": [status]},
        }

    def event(self) -> dict[str, Any]:
        about = {"kind": "Pod", "namespace": "gpu-operator", "name": "nvidia-driver-daemonset-x"}
        return {"involvedObject": about, "message": self.said, "source": {"component": "kubelet"}}

    def logs(self, namespace: str, pod: str, *, container: str = "", previous: bool = False, tail: int = 0) -> str:
        return f"\x1b[31m{FAILED}\x1b[0m\n{self.secret}\n{self.said}\n"

    def proxy_get(self, namespace: str, pod: str, port: int, path: str = "/") -> bytes:
        return json.dumps({"gpus": [], "reason": self.said}).encode()


def seen(secret: str, gone: tuple[str, ...], text: str) -> list[str]:
    return [part for part in (*gone, WORD) if part in text]


@each_secret
def test_doctor_and_why_live(secret: str, gone: tuple[str, ...]) -> None:
    facts = read_evidence(Api(secret), IDENTITY)
    diagnosis = diagnose(facts)
    narrow = why(facts, pod_target(facts["cluster"], "nvidia-driver-daemonset-x", None))
    assert diagnosis.exit_code == narrow.exit_code == 2
    shown = [doctor_text(diagnosis), doctor_text(diagnosis, width=None), doctor_junit(diagnosis), why_text(narrow)]
    shown += [render(one) for render in (to_json, to_yaml) for one in (diagnosis, narrow)]
    assert [part for text in shown for part in seen(secret, gone, text)] == []
    assert all("401 Unauthorized" in text for text in shown)


@each_secret
def test_collect_and_what_is_made_of_the_bundle(
    secret: str, gone: tuple[str, ...], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "b.tar.gz"
    recorder = Recorder(Api(secret), path)
    read_evidence(recorder, IDENTITY)
    recorder.proxy_get("gpuready-system", "agent", 9400, "/gpus")
    recorder.close(IDENTITY, "0.1.0", "2026-11-23T09:00:00Z", f"by {secret}")
    assert seen(secret, gone, gzip.decompress(path.read_bytes()).decode()) == []
    for output in ("text", "json", "yaml", "junit"):
        assert run(["doctor", "--from", str(path), "-o", output]) == 2
    for output in ("text", "json", "yaml"):
        assert run(["why", "nvidia-driver-daemonset-x", "--from", str(path), "-o", output]) == 2
    out, err = capfd.readouterr()
    assert (seen(secret, gone, out), err) == ([], "")
    assert "401 Unauthorized" in out


def described(secret: str) -> str:
    text = secret.replace("\n", "\n      ")
    return f"""$ kubectl describe pod nvidia-driver-daemonset-x -n gpu-operator
Name:         nvidia-driver-daemonset-x
Namespace:    gpu-operator
Annotations:  note: {text}
Node:         gpu-1/10.0.0.5
Containers:
  nvidia-driver-ctr:
    Environment:
      HF_TOKEN:  {WORD}
    Last State:  Terminated
      Message:   {FAILED} {text}
Events:
  Type     Reason  Age  From     Message
  Warning  Failed  3s   kubelet  {FAILED} {text}
"""


PASTED: dict[str, Callable[[str], bytes]] = {
    "a log": lambda s: f"$ kubectl logs nvidia-driver-daemonset-x\n{FAILED}\n{s}\n{FAILED} {s}".encode(),
    "a description": lambda s: described(s).encode(),
    "quoted in a mail": lambda s: "".join(f"> {line}\n" for line in described(s).splitlines()).encode(),
    "objects as YAML": lambda s: yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", **Api(s).pod()}).encode(),
    "objects as JSON": lambda s: json.dumps({"apiVersion": "v1", "kind": "Pod", **Api(s).pod()}, indent=2).encode(),
    "an event as YAML": lambda s: yaml.safe_dump({"apiVersion": "v1", "kind": "Event", **Api(s).event()}).encode(),
    "broken YAML": lambda s: (yaml.safe_dump({"kind": "Pod", **Api(s).pod()}) + f"\t: [\n{FAILED}\n").encode(),
    "with colours": lambda s: f"\x1b[31m{FAILED} \x1b[36m{s[:9]}\x1b[0m{s[9:]}\x1b[0m".encode(),
    "with marks that are not seen": lambda s: f"{FAILED} {s[:9]}\u200b\0{s[9:]}".encode(),
    "UTF-16": lambda s: f"{FAILED}\r\n{s}\r\n".encode("utf-16"),
    "UTF-16 without its mark": lambda s: f"{FAILED}\n{s}\n".encode("utf-16-le"),
}


@each_secret
@pytest.mark.parametrize("paste", PASTED.values(), ids=PASTED)
def test_pasted_text(
    paste: Callable[[str], bytes],
    secret: str,
    gone: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(paste(secret))))
    found = diagnose(doctor.facts_pasted())
    shown = [doctor_text(found), doctor_text(found, width=None), to_json(found), to_yaml(found), doctor_junit(found)]
    assert [part for text in shown for part in seen(secret, gone, text)] == []


ORDINARY = (
    "Failed to initialize NVML: Driver/library version mismatch",
    'failed to create shim task: OCI runtime create failed: unable to retrieve OCI runtime error: exec: "runc": x',
    "Failed to pull image nvcr.io/nvidia/driver:580.65.06-ubuntu22.04: unauthorized: authentication required",
    "image registry.example:5000/nvidia/driver@sha256:" + "0123456789abcdef" * 4,
    "NVRM: Xid (PCI:0000:1b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
    'MountVolume.SetUp failed for volume "kube-api-access-x": failed to fetch token: the server is unreachable',
    'secret "ngc-secret" not found; imagePullSecrets: [{name: ngc-secret}]',
    'serviceaccounts "gpu-operator" is forbidden: User "system:serviceaccount:a:b" cannot list resource "secrets"',
    "0/4 nodes are available: 1 Insufficient nvidia.com/gpu, 3 node(s) had untolerated taint {key: value}",
    "modprobe: ERROR: could not insert 'nvidia': Required key not available",
    "x509: certificate signed by unknown authority; token: expired",
    "GPU-3f2a9c01-8a55-4a3f-8ac2-c1c1f0c1a0b1 lost; pod uid 9d0a2f5e-1111-2222-3333-444455556666",
    "gpg: key A4B469963BF863CC: public key is not available",
    "authorization failed: no basic auth credentials",
    "path /usr/lib/x86_64-linux-gnu/libnvidia-container/libnvidia-ml.so.580.65.06 was not found",
)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_errors_stay_as_they_are(text: str) -> None:
    assert redact(text) == text
