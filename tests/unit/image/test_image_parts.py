"""The parts of an image: layouts and archives on disk, what is installed, trimmed libraries, and refusals."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import gpuready
from gpuready.adapters import image, installed, interpreter, oci
from gpuready.adapters.oci import Entry, Image
from gpuready.cli.image import command
from gpuready.model.errors import UserError

SITE = "usr/local/lib/python/site-packages"


def written(layout: Path, data: bytes) -> Image:
    oci.prepare(layout)
    layers = [oci.write_layer({"a/file": Entry(data)}, "a file", layout)]
    return oci.finish(
        layout, layers, "localhost/x:1", {"architecture": "amd64", "os": "linux", "config": {"Labels": {oci.OURS: "1"}}}
    )


@pytest.fixture
def tiny(tmp_path: Path) -> Image:
    return written(tmp_path / "tiny", b"first")


def test_an_image_written_over_an_earlier_one_leaves_nothing_of_it(tiny: Image, tmp_path: Path) -> None:
    second = written(tiny.layout, b"second")
    alone = written(tmp_path / "alone", b"second")
    names = [sorted(str(p.relative_to(one.layout)) for p in one.layout.rglob("*")) for one in (second, alone)]
    assert names[0] == names[1]
    assert (second.layout / "index.json").read_bytes() == (alone.layout / "index.json").read_bytes()


OCCUPIED = {
    "files of somebody": ("notes.txt", "mine"),
    "somebody else's image": ("index.json", '{"schemaVersion": 2, "manifests": []}'),
    "an index that is no JSON": ("index.json", "{"),
}


@pytest.mark.parametrize("case", OCCUPIED)
def test_a_directory_with_other_contents_is_refused(case: str, tmp_path: Path) -> None:
    name, text = OCCUPIED[case]
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError) as raised:
        oci.prepare(tmp_path)
    assert raised.value.what == f"{tmp_path} is not empty and holds no image of gpuready"
    assert os.listdir(tmp_path) == [name]


def test_a_place_that_cannot_be_written_is_named(tiny: Image, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=f"^cannot write {tmp_path}/file/layout: Not a directory; "):
        oci.prepare(tmp_path / "file" / "layout")
    with pytest.raises(UserError, match=f"^cannot write {tmp_path}/absent/image.tar: No such file or directory; "):
        oci.archive(tiny, tmp_path / "absent" / "image.tar")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk_gives_one_sentence_and_leaves_no_part_behind(tmp_path: Path) -> None:
    script = """
        import os, pathlib, sys
        from gpuready.adapters import oci
        from gpuready.model.errors import UserError
        disk = pathlib.Path(sys.argv[1])
        oci.prepare(disk / "layout")
        noise = oci.Entry(os.urandom(1 << 20))
        for name, act in {
            "layer": lambda: oci.write_layer({"noise": noise}, "noise", disk / "layout"),
            "archive": lambda: oci.archive(whole, disk / "image.tar"),
        }.items():
            if name == "archive":
                outside = pathlib.Path(sys.argv[2])
                oci.prepare(outside)
                layers = [oci.write_layer({"noise": noise}, "noise", outside)]
                labels = {"architecture": "amd64", "os": "linux", "config": {"Labels": {oci.OURS: "1"}}}
                whole = oci.finish(outside, layers, "localhost/x:1", labels)
            try:
                act()
            except UserError as error:
                print(error.what.replace(str(disk), "DISK"))
        print([str(p.relative_to(disk)) for p in disk.rglob("*") if p.is_file()])
    """
    disk = tmp_path / "disk"
    disk.mkdir()
    command = f'mount -t tmpfs -o size=256k tmpfs "{disk}" && exec "$0" -c "$1" "{disk}" "{tmp_path}/outside"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", command, sys.executable, textwrap.dedent(script)], capture_output=True, text=True
    )
    if "mount:" in done.stderr or "unshare:" in done.stderr:
        pytest.skip(f"no mount of our own here: {done.stderr.strip()}")
    full = "No space left on device"
    assert done.stdout.splitlines() == [
        f"cannot write DISK/layout: {full}",
        f"cannot write DISK/image.tar: {full}",
        "[]",
    ]


def distribution(site: Path, name: str, requires: list[str], files: dict[str, str], record: list[str] | None) -> None:
    info = f"{name.replace('-', '_')}-1.dist-info"
    (site / info).mkdir(parents=True)
    needed = "".join(f"Requires-Dist: {line}\n" for line in requires)
    (site / info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n{needed}")
    for path, text in files.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_text(text)
    if record is not None:
        lines = [*record, f"{info}/METADATA", f"{info}/RECORD", f"{info}/INSTALLER"]
        (site / info / "RECORD").write_text("".join(f"{line},,\n" for line in lines))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def test_what_a_package_requires_is_followed_without_extras(site: Path) -> None:
    asks = ["Dep.One>=1", 'wheel-only; sys_platform == "win32"', 'never; extra == "dev"', "rich (>=14)"]
    distribution(site, "top", asks, {"top/__init__.py": ""}, ["top/__init__.py"])
    carried = {"dep/__init__.py": "1", "dep/data.json": "{}"}
    dropped = {"dep/__pycache__/x.pyc": "", "hook.pth": "", "dep/types.pyi": "", "dep/py.typed": ""}
    outside = ["../../bin/tool", "/etc/hostname"]
    distribution(
        site, "dep-one", ["top", "leaf[fast]; python_version > '3'"], carried | dropped, [*carried, *dropped, *outside]
    )
    distribution(site, "leaf", [], {"leaf.py": "leaf"}, ["leaf.py"])
    distribution(site, "rich", ["unwanted"], {"rich.py": ""}, ["rich.py"])
    distribution(site, "never", [], {"never.py": ""}, ["never.py"])
    tree, binaries = installed.dependency_tree(SITE, "top")
    metadata = ["dep_one-1.dist-info/METADATA", "leaf-1.dist-info/METADATA"]
    assert (sorted(tree), binaries) == (sorted(f"{SITE}/{path}" for path in [*carried, "leaf.py", *metadata]), [])
    assert tree[f"{SITE}/leaf.py"] == Entry(b"leaf")


BROKEN = {
    "a requirement is not installed": (["gone"], None, "gone, which top requires, is not installed here"),
    "there is no list of files": (["dep"], None, "dep has no list of its files (RECORD)"),
    "a listed file is missing": (["dep"], ["dep.py"], "dep is damaged: {site}/dep.py: No such file or directory"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_installation_is_said(case: str, site: Path) -> None:
    requires, record, said = BROKEN[case]
    distribution(site, "top", requires, {}, [])
    distribution(site, "dep", [], {}, record)
    with pytest.raises(UserError) as raised:
        installed.dependency_tree(SITE, "top")
    assert raised.value.what == said.format(site=site)


def test_a_trimmed_library_still_loads(tmp_path: Path) -> None:
    path = next((interpreter.running().stdlib / "lib-dynload").glob("_ctypes.*.so"))
    data = path.read_bytes()
    less = interpreter.trimmed(data)
    (tmp_path / "less.so").write_bytes(less)
    assert ctypes.CDLL(str(tmp_path / "less.so")).PyInit__ctypes is not None
    assert len(less) <= len(data)
    assert interpreter.trimmed(less) == less


ELF = b"\x7fELF\x02\x01"


NOT_TRIMMED = {
    "text": b"#!/bin/sh\n" * 20,
    "nothing": b"",
    "a cut header": ELF + bytes(20),
    "a 32-bit file": b"\x7fELF\x01\x01" + bytes(100),
    "headers beyond the end": ELF + bytes(26) + (1 << 40).to_bytes(8, "little") + bytes(14) + b"\x38\0\1\0" + bytes(60),
    "a segment beyond the end": ELF
    + bytes(26) + (64).to_bytes(8, "little") + bytes(14) + b"\x38\0\1\0" + bytes(6)
    + bytes(8) + (1 << 62).to_bytes(8, "little") + bytes(16) + (1 << 62).to_bytes(8, "little") + bytes(16),
}  # fmt: skip


@pytest.mark.parametrize("case", NOT_TRIMMED)
def test_what_is_no_whole_elf_file_stays_as_it_is(case: str) -> None:
    assert interpreter.trimmed(NOT_TRIMMED[case]) == NOT_TRIMMED[case]


@pytest.mark.parametrize(
    ("cache", "wanted"),
    [("/c", "/c/gpuready/image"), ("", "/h/.cache/gpuready/image"), ("rel", "/h/.cache/gpuready/image")],
)
def test_where_the_layout_lies_unless_told(cache: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", cache)
    monkeypatch.setenv("HOME", "/h")
    assert image.default_layout() == Path(wanted)


def test_a_processor_without_gpu_nodes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(UserError, match=r"^no image can be made on riscv64; make it on x86_64 or aarch64$"):
        image.build(tmp_path / "layout", "localhost/gpuready:1")
    assert os.listdir(tmp_path) == []


def test_an_interpreter_without_its_library_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda *_, **__: str(tmp_path))
    with pytest.raises(UserError, match=r"^no complete Python: executable .*, standard library .*; run gpuready with"):
        interpreter.running()


def test_the_verbs_print_what_was_made(tiny: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def build(layout: Path, reference: str) -> Image:
        asked.append((layout, reference))
        return tiny

    monkeypatch.setattr(image, "build", build)
    facts = f"reference  localhost/x:1\ndigest     {tiny.digest}\nsize       0.0 MiB, 0.0 MiB unpacked, linux/amd64\n"
    assert invoke("build", "-o", "here") == f"layout     {tiny.layout}\n{facts}"
    assert invoke("save", f"{tmp_path}/x.tar", "--name", "h.example/x:9") == f"archive    {tmp_path}/x.tar\n{facts}"
    assert asked[0] == (Path("here"), f"localhost/gpuready:{gpuready.__version__}")
    (for_a_moment, name) = asked[1]
    assert (for_a_moment.exists(), name) == (False, "h.example/x:9")


def invoke(*arguments: str) -> str:
    assert isinstance(command, click.Group)
    done = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output
