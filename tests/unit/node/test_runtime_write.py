"""The entry of a handler in a runtime's files: in, again, out; with real containerds where there are some.

Beside the testbed's containerd, those named in GPUREADY_TEST_CONTAINERDS (paths, a colon between) are asked too: what
1.x and 2.0 do with more than one file is the very trap here.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuready.node.runtime_read import Files, read_containerd, read_crio, read_docker
from gpuready.node.runtime_write import (
    CONTAINERD,
    CRIO,
    DOCKER,
    FIRST_IMPORT,
    IMPORT,
    CannotWrite,
    Change,
    Wanted,
    handlers_of,
    put_in,
    rest_of,
    take_out,
)
from testbed.binaries import Binaries, cache

NVIDIA = Wanted(handler="nvidia", binary="/usr/bin/nvidia-container-runtime")
OWN = "/etc/containerd/conf.d/99-gpuready-nvidia.toml"
CRI2, CRI3 = '"io.containerd.grpc.v1.cri"', '"io.containerd.cri.v1.runtime"'

RUNC = """  default_runtime_name = "runc"  # as it came
  [plugins.{cri}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    pod_annotations = ["a.example/*"]
    [plugins.{cri}.containerd.runtimes.runc.options]
      SystemdCgroup = true\t# needed on cgroup 2
"""


def section(cri: str) -> str:
    return f"[plugins.{cri}.containerd]\n{RUNC.format(cri=cri)}"


V1 = f"# of 2019\n{section('cri')}"
V2 = f'version = 2\n[plugins.{CRI2}]\n  sandbox_image = "mine:1"\n{section(CRI2)}'
V3 = f'version = 3\n[plugins."io.containerd.cri.v1.images".pinned_images]\n  sandbox = "mine:1"\n{section(CRI3)}'
REGISTRY2 = f'version = 2\n[plugins.{CRI2}.registry]\n  config_path = "/etc/containerd/certs.d"\n'

# what the node has; the versions of containerd that it is tried with
NODES: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "no file at all": ({}, ("1", "2")),
    "an empty file": ({CONTAINERD: ""}, ("1", "2")),
    "comments only": ({CONTAINERD: "# nothing here\n# yet"}, ("1", "2")),
    "version 1": ({CONTAINERD: V1}, ("1",)),
    "version 2": ({CONTAINERD: V2}, ("1", "2")),
    "version 2 without a last line feed": ({CONTAINERD: V2.rstrip("\n")}, ("1", "2")),
    "version 3": ({CONTAINERD: V3}, ("2",)),
    "line ends of another system": ({CONTAINERD: V3.replace("\n", "\r\n")}, ("2",)),
    "the folder is imported already": ({CONTAINERD: f'imports = ["/etc/containerd/conf.d/*.toml"]\n{V3}'}, ("2",)),
    "imported by a relative path": ({CONTAINERD: f'imports = ["conf.d/*.toml"]\n{V3}'}, ("2",)),
    "another folder is imported": ({CONTAINERD: f'imports = ["/etc/containerd/mine/*.toml"]\n{V3}'}, ("2",)),
    "imports over many lines": (
        {CONTAINERD: f'version = 3\nimports = [ # ours\n  "/etc/containerd/mine/*.toml", # [x]\n]\n{V3[12:]}'},
        ("2",),
    ),
    "an empty list of imports": ({CONTAINERD: f"imports = []\n{V3}"}, ("2",)),
    "an imported file of the same section": (
        {CONTAINERD: f'imports = ["/etc/containerd/mine/*.toml"]\n{V2}', "/etc/containerd/mine/10.toml": REGISTRY2},
        ("1", "2"),
    ),
    "nothing of the CRI": ({CONTAINERD: 'version = 2\nroot = "/data/containerd"\n'}, ("1", "2")),
}
CASES = [
    pytest.param(files, major, id=f"{name}, containerd {major}.x")
    for name, (files, majors) in NODES.items()
    for major in majors
]


def containerds() -> dict[str, list[Path]]:
    """Major version -> binaries."""
    named = [Path(p) for p in os.environ.get("GPUREADY_TEST_CONTAINERDS", "").split(":") if p]
    found: dict[str, list[Path]] = {"1": [], "2": []}
    for binary in [Binaries(cache()).root / "bin" / "containerd", *named]:
        if binary.exists():
            said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
            match = re.search(r" v?(\d+)\.\d+\.\d+", said)
            assert match, said
            found[match[1]].append(binary)
    return found


def changed(files: Mapping[str, str], changes: tuple[Change, ...]) -> dict[str, str]:
    assert all(files.get(c.path) == c.before for c in changes)
    after = {**files, **{c.path: c.after for c in changes}}
    return {path: text for path, text in after.items() if text is not None}


def dump(binary: Path, files: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """What this containerd makes of these files, laid below `folder`."""
    for path, text in files.items():
        place = folder / path.removeprefix("/etc/containerd/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.replace("/etc/containerd", str(folder)).encode())
    argv = [binary, "--config", folder / "config.toml", "config", "dump"] if files else [binary, "config", "default"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return tomllib.loads(done.stdout.replace(str(folder), "/etc/containerd"))


@pytest.mark.parametrize(("files", "major"), CASES)
def test_in_and_again_and_out(files: dict[str, str], major: str) -> None:
    version = (int(major), 7 if major == "1" else 2)
    after = changed(files, put_in("containerd", version, files, NVIDIA))
    assert after != files
    assert put_in("containerd", version, after, NVIDIA) == ()
    assert take_out("containerd", files, "nvidia") == ((), ())
    out, left = take_out("containerd", after, "nvidia")
    assert (changed(after, out), left) == (files, ())
    read = read_containerd(CONTAINERD, as_files(after))
    assert read is not None
    assert (read.problem, read.handlers, read.binaries["nvidia"]) == ("", ("nvidia", "runc"), NVIDIA.binary)


@pytest.mark.parametrize(("files", "major"), CASES)
def test_a_real_containerd_gets_the_handler_and_loses_nothing(
    files: dict[str, str], major: str, tmp_path: Path
) -> None:
    binaries = containerds()[major]
    if not binaries:
        pytest.skip(f"no containerd {major}.x here: name one in GPUREADY_TEST_CONTAINERDS")
    after = changed(files, put_in("containerd", (int(major), 0), files, NVIDIA))
    for number, binary in enumerate(binaries):
        was = dump(binary, files, tmp_path / f"{number}-before")
        now = dump(binary, after, tmp_path / f"{number}-after")
        entry, runc = handlers_of(now)["nvidia"], handlers_of(now)["runc"]
        assert entry["options"]["BinaryName"] == NVIDIA.binary, binary
        assert entry["options"].get("SystemdCgroup", False) == runc["options"].get("SystemdCgroup", False), binary
        assert entry["pod_annotations"] == runc["pod_annotations"], binary
        assert runc["runtime_type"] == "io.containerd.runc.v2", binary
        assert rest_of(now, "nvidia") == rest_of(was, "nvidia"), binary


def as_files(files: Mapping[str, str]) -> Files:
    def names(folder: str) -> tuple[str, ...]:
        return tuple(p.removeprefix(f"{folder}/") for p in files if p.rpartition("/")[0] == folder)

    return Files(files.get, names)


REFUSED: dict[str, tuple[str, tuple[int, int], dict[str, str], Wanted, str]] = {
    "another program has the name": (
        "containerd",
        (2, 2),
        {CONTAINERD: f'{V3}[plugins.{CRI3}.containerd.runtimes.nvidia.options]\nBinaryName = "/opt/x"\n'},
        NVIDIA,
        "the handler nvidia is configured already, with the binary /opt/x",
    ),
    "containerd 2.x reads nothing of the CRI from such a file": (
        "containerd",
        (2, 2),
        {CONTAINERD: V1},
        NVIDIA,
        "/etc/containerd/config.toml has no `version`, and containerd 2.x reads no CRI settings from it",
    ),
    "a table that cannot be added to": (
        "containerd",
        (1, 7),
        {CONTAINERD: f"version = 2\n[plugins.{CRI2}.containerd]\n  runtimes = {{runc = {{}}}}\n"},
        NVIDIA,
        "/etc/containerd/config.toml cannot be read: ",
    ),
    "a broken file": (
        "containerd",
        (2, 2),
        {CONTAINERD: "version = \n"},
        NVIDIA,
        "containerd does not take /etc/containerd/config.toml as it is: ",
    ),
    "imports as no list begins": (
        "containerd",
        (2, 2),
        {CONTAINERD: f'"imports" = []\n{V3}'},
        NVIDIA,
        "the imports of /etc/containerd/config.toml are written in a way that cannot be added to",
    ),
    "a program by its name alone": (
        "containerd",
        (2, 2),
        {},
        Wanted(handler="nvidia", binary="nvidia-container-runtime"),
        "'nvidia' with binary 'nvidia-container-runtime' is no entry",
    ),
    "a name that is no handler's": (
        "containerd",
        (2, 2),
        {},
        Wanted(handler='a"]\n', binary="/x"),
        "'a\"]\\n' with binary '/x' is no entry",
    ),
    "docker's default": (
        "docker",
        (27, 0),
        {},
        Wanted(handler="nvidia", binary="/x", default=True),
        "docker's default runtime is not changed",
    ),
    "JSON with comments": (
        "docker",
        (27, 0),
        {DOCKER: "// mine\n{}"},
        NVIDIA,
        "/etc/docker/daemon.json cannot be read: ",
    ),
    "a runtime of another kind": ("rkt", (1, 0), {}, NVIDIA, "the runtime 'rkt' is not known"),
}


@pytest.mark.parametrize(("runtime", "version", "files", "wanted", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_done_safely_is_refused_in_words(
    runtime: str, version: tuple[int, int], files: dict[str, str], wanted: Wanted, says: str
) -> None:
    with pytest.raises(CannotWrite) as refused:
        put_in(runtime, version, files, wanted)
    assert refused.value.what.startswith(says)


def test_the_handler_becomes_the_default_one_where_that_is_asked(tmp_path: Path) -> None:
    default = Wanted(handler="nvidia", binary=NVIDIA.binary, default=True)
    after = changed({CONTAINERD: V3}, put_in("containerd", (2, 2), {CONTAINERD: V3}, default))
    for number, binary in enumerate(containerds()["2"]):
        now = dump(binary, after, tmp_path / str(number))
        assert now["plugins"][CRI3.strip('"')]["containerd"]["default_runtime_name"] == "nvidia", binary
    assert changed(after, take_out("containerd", after, "nvidia")[0]) == {CONTAINERD: V3}
    of_crio = changed({}, put_in("cri-o", (1, 34), {}, default))
    read = read_crio(CRIO, as_files(of_crio))
    assert read is not None
    assert read.default_handler == "nvidia"


def test_a_setting_lost_by_an_imported_section_is_noticed(tmp_path: Path) -> None:
    """What a file of our own would do to containerd 1.x."""
    binaries = containerds()["1"]
    if not binaries:
        pytest.skip("no containerd 1.x here: name one in GPUREADY_TEST_CONTAINERDS")
    files = {CONTAINERD: f'imports = ["/etc/containerd/conf.d/*.toml"]\n{V2}'}
    naive = f'version = 2\n[plugins.{CRI2}.containerd.runtimes.nvidia]\n  runtime_type = "io.containerd.runc.v2"\n'
    was = dump(binaries[0], files, tmp_path / "before")
    now = dump(binaries[0], {**files, "/etc/containerd/conf.d/99.toml": naive}, tmp_path / "after")
    assert "nvidia" in handlers_of(now)
    assert rest_of(was, "nvidia") != rest_of(now, "nvidia")


def test_a_file_of_ours_that_somebody_changed_stays_with_its_import() -> None:
    after = changed({CONTAINERD: V3}, put_in("containerd", (2, 2), {CONTAINERD: V3}, NVIDIA))
    edited = {**after, OWN: after[OWN].replace("SystemdCgroup = true", "SystemdCgroup = false")}
    assert take_out("containerd", edited, "nvidia") == ((), (OWN,))


def test_a_block_of_ours_that_somebody_changed_stays() -> None:
    after = changed({CONTAINERD: V2}, put_in("containerd", (1, 7), {CONTAINERD: V2}, NVIDIA))
    edited = {CONTAINERD: after[CONTAINERD].replace(NVIDIA.binary, "/opt/mine")}
    assert take_out("containerd", edited, "nvidia") == ((), (CONTAINERD,))


def test_the_import_goes_with_the_last_of_our_files() -> None:
    files = {CONTAINERD: V3}
    cdi = Wanted(handler="nvidia-cdi", binary="/usr/bin/nvidia-container-runtime.cdi")
    one = changed(files, put_in("containerd", (2, 2), files, NVIDIA))
    two = changed(one, put_in("containerd", (2, 2), one, cdi))
    assert changed(two, take_out("containerd", two, "nvidia-cdi")[0]) == one
    other = changed(two, take_out("containerd", two, "nvidia")[0])
    assert IMPORT in other[CONTAINERD]
    assert changed(other, take_out("containerd", other, "nvidia-cdi")[0]) == files


def test_what_a_provisioner_has_overwritten_is_put_back_and_what_it_kept_is_not_written() -> None:
    after = changed({CONTAINERD: V3}, put_in("containerd", (2, 2), {CONTAINERD: V3}, NVIDIA))
    assert put_in("containerd", (2, 2), {**after, CONTAINERD: V3}, NVIDIA) == (
        Change(path=CONTAINERD, before=V3, after=FIRST_IMPORT + V3),
    )
    kept = {**after, CONTAINERD: f'imports = ["/etc/containerd/conf.d/*.toml"]\n{V3}'}
    assert put_in("containerd", (2, 2), kept, NVIDIA) == ()


CRIO_RUNC = """[crio.runtime]
default_runtime = "crun"  # ours
[crio.runtime.runtimes.crun]
runtime_path = "/usr/bin/crun"
monitor_path = "/usr/libexec/crio/conmon"
allowed_annotations = ["io.containers.trace-syscall"]
"""


@pytest.mark.parametrize("files", [{}, {CRIO: CRIO_RUNC}, {"/etc/crio/crio.conf.d/10-crun.conf": CRIO_RUNC}])
def test_cri_o_gets_a_file_of_its_own(files: dict[str, str]) -> None:
    after = changed(files, put_in("cri-o", (1, 34), files, NVIDIA))
    own = "/etc/crio/crio.conf.d/99-gpuready-nvidia.conf"
    assert {path: text for path, text in after.items() if path != own} == files
    assert put_in("cri-o", (1, 34), after, NVIDIA) == ()
    read = read_crio(CRIO, as_files(after))
    assert read is not None
    assert read.binaries["nvidia"] == NVIDIA.binary
    base = {"monitor_path": "/usr/libexec/crio/conmon", "allowed_annotations": ["io.containers.trace-syscall"]}
    entry = {"runtime_path": NVIDIA.binary, "runtime_type": "oci", **(base if files else {})}
    assert handlers_of(tomllib.loads(after[own])) == {"nvidia": entry}
    assert changed(after, take_out("cri-o", after, "nvidia")[0]) == files


@pytest.mark.parametrize(
    "text",
    [
        None,
        "{}",
        '{"live-restore": true}',
        '{\n  "runtimes": {},\n  "log-driver": "json-file"\n}\n',
        '{\n  "labels": ["runtimes"], "x": {"runtimes": 1},\n  "runtimes" : {\n    "a": {"path": "/a"}\n  }\n}\n',
    ],
)
def test_docker_gets_a_member_and_every_other_byte_stays(text: str | None) -> None:
    files = {} if text is None else {DOCKER: text}
    after = changed(files, put_in("docker", (27, 0), files, NVIDIA))
    assert put_in("docker", (27, 0), after, NVIDIA) == ()
    read = read_docker(DOCKER, as_files(after))
    assert read is not None
    assert (read.problem, read.binaries["nvidia"]) == ("", NVIDIA.binary)
    assert changed(after, take_out("docker", after, "nvidia")[0]) == files


SCALARS = st.one_of(st.booleans(), st.integers(-9, 9), st.text(max_size=8), st.lists(st.text(max_size=4), max_size=2))
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=1, max_size=8)
KEYS = NAMES.map(json.dumps)
TABLES = st.dictionaries(KEYS, SCALARS, max_size=4)


def toml_text(path: str, table: Mapping[str, Any]) -> str:
    def value(found: Any) -> str:
        words = json.dumps(found, ensure_ascii=True) if not isinstance(found, str) else json.dumps(found)
        return re.sub(r"\\ud[89ab]..\\ud[c-f]..", "?", words).replace("\x7f", "?")

    lines = "".join(f"{key} = {value(found)}\n" for key, found in table.items())
    return f"[{path}]\n{lines}"


@settings(deadline=None)  # a machine under load
@given(
    others=st.lists(st.tuples(NAMES, TABLES), max_size=3, unique_by=lambda pair: pair[0]),
    runc=TABLES,
    comment=st.text(st.characters(codec="ascii", exclude_categories=("C",)), max_size=20),
    major=st.sampled_from([1, 2]),
    ends=st.booleans(),
)
def test_whatever_else_is_in_the_file_stays_and_the_bytes_come_back(
    others: list[tuple[str, dict[str, Any]]], runc: dict[str, Any], comment: str, major: int, ends: bool
) -> None:
    text = f"# {comment}\nversion = 2\n"
    text += "".join(toml_text(f"plugins.{json.dumps(name)}", table) for name, table in others)
    text += toml_text(f"plugins.{CRI2}.containerd.runtimes.runc.options", runc) + f"# {comment}"
    files = {CONTAINERD: text + "\n" if ends else text}
    try:
        was = tomllib.loads(files[CONTAINERD])
    except tomllib.TOMLDecodeError:
        return  # such a name or value is not written so
    after = changed(files, put_in("containerd", (major, 7), files, NVIDIA))
    now = tomllib.loads(after[CONTAINERD])
    entry = handlers_of(tomllib.loads(after[OWN]) if major == 2 else now)["nvidia"]
    assert entry["options"] == {
        **was["plugins"][CRI2.strip('"')]["containerd"]["runtimes"]["runc"]["options"],
        "BinaryName": NVIDIA.binary,
    }
    now.pop("imports", None)
    assert rest_of(now, "nvidia") == rest_of(was, "nvidia")
    assert put_in("containerd", (major, 7), after, NVIDIA) == ()
    assert changed(after, take_out("containerd", after, "nvidia")[0]) == files
