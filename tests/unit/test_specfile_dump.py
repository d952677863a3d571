"""The commented gpuready.yaml that is written: what is in it, and that nothing is ever written over."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from gpuready.adapters import specfile
from gpuready.adapters.specfile import SpecError
from gpuready.model.errors import UserError
from gpuready.model.spec import (
    API_VERSION,
    KIND,
    Agent,
    Cluster,
    GPUSetup,
    Image,
    Metadata,
    NodeChoice,
    Setup,
    Toleration,
)

DETECTED = GPUSetup(
    api_version=API_VERSION,
    kind=KIND,
    metadata=Metadata(name="prod-eu"),
    spec=Setup(
        cluster=Cluster(uid="7c1e0b52-5f0e-4d0b-9a53-1b8f3c6a2d11", server="https://10.0.0.5:6443"),
        platform="kubeadm",
        image=Image(reference="registry.example.com/gpuready@sha256:" + 16 * "cafe"),
        nodes=NodeChoice(
            names=("gpu-1", "1234"),
            match_labels={"nvidia.com/gpu.present": "true"},
            tolerations=(Toleration(key="dedicated", operator="Equal", value="on", effect="NoSchedule"),),
        ),
        agent=Agent(metrics_port=9401),
    ),
)
EVIDENCE = {
    "spec.cluster": "context prod of /home/joe/.kube/config",
    "spec.platform": "ConfigMap kube-system/kubeadm-config is there",
    "spec.stack": "no other device plugin serves nvidia.com/gpu",
    "spec.nodes.names[gpu-1]": "1 x 10de:2331 at 0000:1b:00.0",
    "spec.nodes.names[1234]": "the look found 8 PCI functions of vendor 10de and class 0302 and driver 580.65.06",
    "spec.nodes.matchLabels[nvidia.com/gpu.present]": "set by kubelet",
    "spec.nodes.tolerations[dedicated]": "taint of 1234",
    "spec.driver.root": "libnvidia-ml.so.1 lies in /usr/lib/x86_64-linux-gnu on gpu-1 and 1234",
    "spec.agent.injection": "containerd 2.2.9 has CDI on by default",
    "spec.nodes.names[gpu-7]": "not Ready\nspec: {stack: evil}",
}


def test_a_detected_cluster_is_written_like_this() -> None:
    """The file beside this one is what a user reads; a change of it is a change of the product."""
    golden = Path(__file__).with_name("test_specfile_dump.golden.yaml").read_text()
    assert specfile.dump(DETECTED, EVIDENCE) == golden
    assert specfile.load(golden, "f.yaml") == DETECTED


LEAST = GPUSetup(api_version=API_VERSION, kind=KIND, metadata=Metadata(name="prod"), spec=Setup())
COMMENTED = [
    "uid", "server", "platform", "stack", "reference", "pullSecret", "names", "matchLabels", "exclude", "tolerations",
    "owner", "root", "injection", "metricsPort", "hostnameLabel", "cpu", "memory", "memoryLimit",
]  # fmt: skip


def taken_away(text: str, name: str) -> str:
    return re.sub(rf"(?m)^( *)#({name}: )", r"\1\2", text)


def test_every_field_is_in_the_file_and_needs_only_its_sign_taken_away() -> None:
    text = specfile.dump(LEAST, {})
    assert re.findall(r"(?m)^ *#(\w+): ", text) == COMMENTED
    said = {}
    for name in COMMENTED:
        try:
            specfile.load(taken_away(text, name), "f.yaml")
        except SpecError as error:
            said[name] = error.what.partition(" ")[2]
    assert said == {
        "server": "spec.cluster: 'uid' is missing",
        "pullSecret": "spec.image: 'reference' is missing",
    }


def test_defaults_are_shown_as_they_are() -> None:
    """Without their signs, the lines that are no examples change nothing."""
    text = specfile.dump(LEAST, {})
    for name in COMMENTED:
        if not re.search(rf"(?m)^ *#{name}: .*# example$", text):
            text = taken_away(text, name)
    assert "\n  stack: native" in text
    assert specfile.load(text, "f.yaml") == LEAST


def test_a_setup_that_is_not_valid_is_not_written() -> None:
    setup = GPUSetup(
        api_version=API_VERSION,
        kind=KIND,
        metadata=Metadata(name="Prod\nkind: x"),
        spec=Setup(cluster=Cluster(uid="1", server="https://joe:hunter2@10.0.0.5:6443")),
    )
    with pytest.raises(SpecError) as caught:
        specfile.dump(setup, {})
    assert re.sub(r":\d+:\d+:", ":", caught.value.what).split("\n") == [
        "the new spec: metadata.name: holds a line break or another control character",
        "the new spec: spec.cluster.server: must be an http or https URL without user name, password and query",
    ]


def test_a_long_label_key_is_written_in_one_line() -> None:
    """PyYAML writes keys of more than 128 characters with `? ` over two lines."""
    key = "x" * 200 + "/gpu"
    setup = replace(LEAST, spec=Setup(nodes=NodeChoice(match_labels={key: ""})))
    text = specfile.dump(setup, {})
    assert f"\n      {key}: ''\n" in text
    assert specfile.load(text, "f.yaml") == setup


# ---- the file


def test_a_new_file_is_whole_and_readable_and_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        specfile.write_new(tmp_path / "gpuready.yaml", "ä\n")
    finally:
        os.umask(before)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"gpuready.yaml": "ä\n".encode()}
    assert (tmp_path / "gpuready.yaml").stat().st_mode == 0o100644
    assert (tmp_path / "gpuready.yaml").stat().st_nlink == 1


def refusal(path: Path, text: str = "x\n") -> str:
    with pytest.raises(UserError) as caught:
        specfile.write_new(path, text)
    return str(caught.value).replace(str(path), "PATH")


TAKEN = "PATH cannot be written: File exists; it is not overwritten: name another file, or move this one away"


def make_file(path: Path) -> None:
    path.write_text("mine\n")


def make_dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "not-there")


@pytest.mark.parametrize("make", [make_file, make_dangling_link, Path.mkdir, os.mkfifo])
def test_what_is_there_is_not_written_over(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "gpuready.yaml"
    make(path)
    before = os.lstat(path)
    assert refusal(path) == TAKEN
    assert (os.lstat(path).st_ino, os.lstat(path).st_size) == (before.st_ino, before.st_size)
    assert [p.name for p in tmp_path.iterdir()] == ["gpuready.yaml"]


@pytest.mark.parametrize("links", [True, False])
def test_a_file_that_comes_meanwhile_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    path, link = tmp_path / "gpuready.yaml", os.link

    def slow_link(source: Path, target: Path) -> None:
        path.write_text("of somebody else\n")
        if not links:
            raise OSError(errno.EPERM, "Operation not permitted")
        link(source, target)

    monkeypatch.setattr(os, "link", slow_link)
    assert refusal(path) == TAKEN
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"gpuready.yaml": "of somebody else\n"}


def test_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_link(_source: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    specfile.write_new(tmp_path / "gpuready.yaml", "x\n")
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"gpuready.yaml": "x\n"}


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no" / "gpuready.yaml") == (
        "PATH cannot be written: No such file or directory; make its directory first, or name another file"
    )


def test_a_file_as_directory(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    expected = "PATH cannot be written: Not a directory; name a file in a directory that there is"
    assert refusal(tmp_path / "a" / "gpuready.yaml") == expected


def test_a_path_that_is_none(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a\0b").endswith("is not a path; name a file")
    assert refusal(tmp_path / ("a" * 300)).endswith(" cannot be written: File name too long; name another file")


FAILURES = {
    errno.ENOSPC: "No space left on device; the disk is full: make room, or name a file elsewhere",
    errno.EDQUOT: "Disk quota exceeded; your quota is used up: make room, or name a file elsewhere",
    errno.EIO: "Input/output error; name another file",
}


@pytest.mark.parametrize("code", FAILURES)
@pytest.mark.parametrize("links", [True, False])
def test_a_disk_that_is_full_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, links: bool
) -> None:
    """With hard links the first file fails to be written; without, the second."""
    synced: list[int] = []

    def full(fd: int) -> None:
        synced.append(fd)
        if links or len(synced) == 2:
            raise OSError(code, os.strerror(code))

    def no_link(_source: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(os, "link", no_link)
    assert refusal(tmp_path / "gpuready.yaml") == f"PATH cannot be written: {FAILURES[code]}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.EACCES, "Permission denied; write it where you may, or change the directory's permissions"),
        (errno.EROFS, "Read-only file system; name a file on a file system that can be written"),
    ],
)
def test_a_directory_one_may_not_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, advice: str
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "open", refuse)
    assert refusal(tmp_path / "gpuready.yaml") == f"PATH cannot be written: {advice}"
