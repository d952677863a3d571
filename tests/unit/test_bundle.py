"""A bundle replays what was read, holds no secret, and harms nobody who opens it."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gpuready.adapters import bundle
from gpuready.adapters.budget import MORE, Budgeted
from gpuready.adapters.bundle import Recorder, open_bundle
from gpuready.engine.diagnose import diagnose
from gpuready.engine.evidence import read_evidence
from gpuready.model.errors import Forbidden, NotFound, UserError
from gpuready.model.facts.cluster import Identity
from gpuready.model.scrub import scrub
from gpuready.model.unknown import Partial, Unknown, members

IDENTITY = Identity(uid="7c1e", server="https://10.0.0.5:6443", version="v1.34.4")
SECRET = "hunter22"
POD = {
    "metadata": {
        "name": "train",
        "namespace": "ml",
        "uid": "u",
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": f'{{"password":"{SECRET}"}}'},
    },
    "spec": {
        "nodeName": "gpu-1",
        "containers": [
            {
                "name": "main",
                "resources": {"limits": {"nvidia.com/gpu": "1"}},
                "env": [
                    {"name": "SESSION", "value": SECRET},
                    {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
                    {"name": "HTTPS_PROXY", "value": f"http://me:{SECRET}@proxy:3128"},
                ],
            }
        ],
    },
    "status": {
        "phase": "Running",
        "containerStatuses": [{"name": "main", "restartCount": 1, "state": {"running": {}}}],
    },
}


class Api:
    """Two pages of pods, one log, one agent; nodes are refused."""

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        if path == "/api/v1/pods":
            yield json.dumps({"items": [POD]}).encode()
            yield json.dumps({"items": []}).encode()
            return
        if path == "/api/v1/nodes":
            raise Forbidden("listing nodes is forbidden", "gpuready rbac collect")
        raise NotFound(f"{path} is not there", code=404)

    def logs(self, namespace: str, pod: str, *, container: str = "", previous: bool = False, tail: int = 0) -> str:
        if previous:
            raise NotFound("no former container")
        return f"no NVML\npassword: {SECRET}\n"

    def proxy_get(self, namespace: str, pod: str, port: int, path: str = "/") -> bytes:
        return b'{"gpus": []}'


def collected(path: Path) -> Path:
    recorder = Recorder(Api(), path)
    read_evidence(recorder, IDENTITY)
    recorder.proxy_get("gpuready-system", "agent", 9400, "/gpus")
    recorder.close(IDENTITY, "0.1.0", "2026-11-23T09:00:00Z")
    return path


def test_a_bundle_replays_what_was_read(tmp_path: Path) -> None:
    source = open_bundle(collected(tmp_path / "b.tar.gz"))
    assert read_evidence(source, source.index.identity) == read_evidence(Api(), IDENTITY)
    assert source.proxy_get("gpuready-system", "agent", 9400, "/gpus") == b'{"gpus":[]}'


def test_no_secret_is_in_it(tmp_path: Path) -> None:
    plain = gzip.decompress(collected(tmp_path / "b.tar.gz").read_bytes()).decode()
    assert SECRET not in plain
    assert "no NVML" in plain
    assert "managedFields" not in plain


def test_of_who_wrote_what_only_the_labels_are_kept() -> None:
    mine = {"f:metadata": {"f:labels": {"f:pool": {}}, "f:annotations": {"f:x": {}}}, "f:spec": {"f:taints": {}}}
    entries = [{"manager": "kubectl", "time": "t", "fieldsV1": mine}, {"manager": "kubelet", "fieldsV1": {}}, 7]
    assert scrub({"metadata": {"managedFields": entries}}) == {
        "metadata": {
            "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:metadata": {"f:labels": {"f:pool": {}}}}}]
        }
    }


def test_what_was_never_asked_is_not_taken_for_absent(tmp_path: Path) -> None:
    source = open_bundle(collected(tmp_path / "b.tar.gz"))
    with pytest.raises(UserError, match=r"the bundle has no answer to: pages /api/v1/secrets"):
        list(source.pages("/api/v1/secrets"))


def test_a_file_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    path = collected(tmp_path / "b.tar.gz")
    with pytest.raises(FileExistsError):
        Recorder(Api(), path)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.unit.test_bundle import Api
from gpuready.adapters.bundle import Recorder
recorder = Recorder(Api(), Path({path!r}))
list(recorder.pages("/api/v1/pods"))
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_is_left_where_the_process_is_killed(tmp_path: Path) -> None:
    script = KILLED.format(root=str(Path(__file__).parents[2]), path=str(tmp_path / "b.tar.gz"))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (-9, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("without_names", [True, False], ids=["unnamed at first", "under another name at first"])
def test_it_is_whole_or_not_there_and_for_its_owner_alone(
    without_names: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not without_names:
        monkeypatch.delattr(os, "O_TMPFILE")
    path = tmp_path / "b.tar.gz"
    recorder = Recorder(Api(), path)
    assert not path.exists()
    recorder.close(IDENTITY, "0.1.0", "2026-11-23T09:00:00Z")
    assert [p.name for p in tmp_path.iterdir()] == ["b.tar.gz"]
    assert path.stat().st_mode & 0o777 == 0o600
    Recorder(Api(), tmp_path / "c.tar.gz").abandon()
    assert [p.name for p in tmp_path.iterdir()] == ["b.tar.gz"]


class Slow(Api):
    """Gives one page of pods and then nothing more; its logs never come."""

    def __init__(self) -> None:
        self.end = threading.Event()

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        yield from itertools.islice(super().pages(path, params), 1)
        if path == "/api/v1/pods":
            self.end.wait()

    def logs(self, namespace: str, pod: str, *, container: str = "", previous: bool = False, tail: int = 0) -> str:
        self.end.wait()
        return ""


def test_what_is_not_read_in_time_is_unread_also_when_replayed(tmp_path: Path) -> None:
    path, slow, told = tmp_path / "b.tar.gz", Slow(), list[str]()
    recorder = Recorder(Budgeted(slow, 0.2, told.append), path)
    try:
        facts = read_evidence(recorder, IDENTITY)
    finally:
        slow.end.set()
    recorder.close(IDENTITY, "0.1.0", "2026-11-23T09:00:00Z")
    pods = facts["cluster"].pods
    assert isinstance(pods, Partial)
    assert pods.rest == Unknown("/api/v1/pods: 1 pages were read in 0.2 s, not all", MORE)
    late = "the log of pod/ml/train, container main: log of pod/ml/train: not read within 0.2 s"
    assert Unknown(late, MORE) in facts["said"].missing
    assert "log of pod/ml/train" in told
    replayed = read_evidence(open_bundle(path), IDENTITY)
    assert replayed["said"] == facts["said"]
    assert (members(replayed["cluster"].pods), replayed["cluster"].pods.rest) == (members(pods), pods.rest)
    assert diagnose(replayed).exit_code == 3


def archive(path: Path, members: Mapping[str, bytes | str]) -> Path:
    """`str`: a symbolic link to there."""
    with tarfile.open(path, "w:gz") as out:
        for name, body in members.items():
            member = tarfile.TarInfo(name)
            if isinstance(body, str):
                member.type, member.linkname = tarfile.SYMTYPE, body
                out.addfile(member)
            else:
                member.size = len(body)
                out.addfile(member, io.BytesIO(body))
    return path


def twice(path: Path) -> None:
    with tarfile.open(path, "w:gz") as out:
        for _ in range(2):
            member = tarfile.TarInfo("index.json")
            member.size = len(index())
            out.addfile(member, io.BytesIO(index()))


def device(path: Path) -> None:
    with tarfile.open(path, "w:gz") as out:
        for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE):
            member = tarfile.TarInfo(f"d{kind!r}")
            member.type, member.devmajor, member.devminor, member.linkname = kind, 1, 5, "/dev/zero"
            out.addfile(member)


def index(**change: Any) -> bytes:
    whole = {
        "version": 1,
        "made_by": "x",
        "at": "x",
        "identity": {"uid": "u", "server": "s"},
        "entries": [{"question": "pages /api/v1/nodes", "files": ["../../etc/shadow"]}],
    }
    return json.dumps({**whole, **change}).encode()


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "not there": (lambda p: None, "is not there"),
    "a folder": (lambda p: p.mkdir(), "cannot be read as a bundle"),
    "empty": (lambda p: p.write_bytes(b""), "cannot be read as a bundle"),
    "no archive": (lambda p: p.write_bytes(b"hello" * 1000), "cannot be read as a bundle"),
    "gzip of no archive": (lambda p: p.write_bytes(gzip.compress(b"hello" * 1000)), "cannot be read as a bundle"),
    "cut off": (lambda p: p.write_bytes(collected(p.with_name("w")).read_bytes()[:300]), "cannot be read as a bundle"),
    "without an index": (lambda p: archive(p, {"a": b"x"}), "it has no index.json"),
    "an index that is a link": (lambda p: archive(p, {"index.json": "/etc/passwd"}), "it has no index.json"),
    "an index that is no JSON": (lambda p: archive(p, {"index.json": b"{"}), "index.json is not what a bundle has"),
    "an index of text": (lambda p: archive(p, {"index.json": b"\xff\xfe"}), "index.json is not what a bundle has"),
    "a name twice": (lambda p: twice(p), "has 'index.json' twice"),
    "an index that is nested without end": (
        lambda p: archive(p, {"index.json": b'{"a":' * 100_000}),
        "index.json is not what a bundle has",
    ),
    "an index of a million entries": (
        lambda p: archive(p, {"index.json": index(entries=[{"question": "q"}] * 1_000_000)}),
        "larger than a bundle may be",
    ),
    "devices": (lambda p: device(p), "it has no index.json"),
    "another version": (lambda p: archive(p, {"index.json": index(version=9)}), "is of version 9"),
}


@pytest.mark.parametrize(("make", "said"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_bundle_is_refused_in_one_sentence(
    make: Callable[[Path], object], said: str, tmp_path: Path
) -> None:
    path = tmp_path / "b.tar.gz"
    make(path)
    with pytest.raises(UserError, match=said):
        open_bundle(path)


def test_no_path_of_an_archive_is_followed(tmp_path: Path) -> None:
    members = {"index.json": index(), "../../etc/shadow": "/etc/shadow", "/abs": b"x"}
    source = open_bundle(archive(tmp_path / "b.tar.gz", members))
    with pytest.raises(UserError, match="is not in it"):
        list(source.pages("/api/v1/nodes"))


@pytest.mark.parametrize("what", ["MAX_BYTES", "MAX_FILE"])
def test_a_bomb_is_refused_before_it_is_unpacked(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, what, 1 << 16)
    path = archive(tmp_path / "b.tar.gz", {"index.json": index(), "big": bytes(1 << 20)})
    with pytest.raises(UserError, match="larger than a bundle may be"):
        open_bundle(path)


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MAX_FILES", 3)
    path = archive(tmp_path / "b.tar.gz", {f"{n}": b"" for n in range(4)})
    with pytest.raises(UserError, match="larger than a bundle may be"):
        open_bundle(path)


SCRUBBED = {
    "a Secret keeps its keys": (
        {"kind": "Secret", "data": {"key": "eHh4"}, "type": "Opaque"},
        {"kind": "Secret", "data": {"key": "[hidden]"}, "type": "Opaque"},
    ),
    "a Secret whose data is no map": (
        {"kind": "Secret", "stringData": "all"},
        {"kind": "Secret", "stringData": "[hidden]"},
    ),
    "variables are told by name": (
        {
            "env": [
                {"name": "A", "value": "x"},
                {"name": "CUDA_VERSION", "value": "13"},
                {"name": "B", "valueFrom": {}},
                7,
            ]
        },
        {
            "env": [
                {"name": "A", "value": "[hidden]"},
                {"name": "CUDA_VERSION", "value": "13"},
                {"name": "B", "valueFrom": {}},
                7,
            ]
        },
    ),
    "secrets known by their form go wherever they are": ({"a": ["nvapi-abcdefgh12345678"]}, {"a": ["[hidden]"]}),
    "the rest stays": ({"a": [1, None, True, "x"], "b": {}}, {"a": [1, None, True, "x"], "b": {}}),
}


@pytest.mark.parametrize(("before", "after"), SCRUBBED.values(), ids=SCRUBBED)
def test_scrubbed(before: Any, after: Any) -> None:
    assert scrub(before) == after


def test_an_entry_of_the_index_is_small() -> None:
    assert msgspec.json.encode(bundle.Entry(question="q")) == b'{"question":"q"}'
