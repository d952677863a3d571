"""The image made from this very installation: reproducible, complete, and nothing of this machine's user in it."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib.util
import json
import os
import pkgutil
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gpuready
import gpuready.node
from gpuready.adapters import oci
from gpuready.adapters.oci import Image

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("image")]  # built once: as dear as a hundred other tests
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="changing the root directory needs root")


def build(source: Path, folder: Path, **environment: str) -> Image:
    """The image of the package in `source`, made by another process."""
    script = (
        "import json, pathlib, sys; from gpuready.adapters import image;"
        "made = image.build(pathlib.Path('layout'), 'localhost/gpuready:test');"
        "print(json.dumps([made.reference, made.digest, made.size, made.unpacked, made.platform]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(source.parent), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return Image(*json.loads(done.stdout), layout=folder / "layout")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of this package that nobody edits while the tests run."""
    return Path(shutil.copytree(Path(gpuready.__file__).parent, tmp_path_factory.mktemp("source") / "gpuready"))


@pytest.fixture(scope="module")
def built(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Image:
    return build(source, tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def manifest(built: Image) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(oci.blob(built.layout, built.digest).read_bytes())
    return found


@pytest.fixture(scope="module")
def unpacked(built: Image, manifest: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root = tmp_path_factory.mktemp("root")
    root.chmod(0o755)
    for layer in manifest["layers"]:
        with tarfile.open(oci.blob(built.layout, layer["digest"])) as tar:
            tar.extractall(root, filter="tar")
    yield root
    shutil.rmtree(root)


def test_the_same_installation_gives_the_same_digest(built: Image, source: Path, tmp_path: Path) -> None:
    """In another place, with other hashes and other settings of Python."""
    moved = Path(shutil.copytree(source, tmp_path / "elsewhere" / "gpuready"))
    settings = {
        "PYTHONHASHSEED": "7",
        "PYTHONPYCACHEPREFIX": str(tmp_path),
        "PYTHONOPTIMIZE": "1",
        "TZ": "Asia/Kathmandu",
    }
    again = build(moved, tmp_path, **settings)
    assert again == dataclasses.replace(built, layout=again.layout)


def test_every_blob_has_the_digest_and_size_that_the_layout_says(built: Image, manifest: dict[str, Any]) -> None:
    index = json.loads((built.layout / "index.json").read_bytes())
    listed = [*index["manifests"], manifest["config"], *manifest["layers"]]
    said = {part["digest"]: part["size"] for part in listed}
    there = {
        f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}": path.stat().st_size
        for path in (built.layout / "blobs" / "sha256").iterdir()
    }
    assert (there, index["manifests"][0]["digest"], built.size) == (said, built.digest, sum(said.values()))
    config = json.loads(oci.blob(built.layout, manifest["config"]["digest"]).read_bytes())
    plain = [gzip.decompress(oci.blob(built.layout, layer["digest"]).read_bytes()) for layer in manifest["layers"]]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(data).hexdigest()}" for data in plain]
    assert built.unpacked == sum(map(len, plain))


def test_the_image_says_what_it_is_and_how_it_starts(built: Image, manifest: dict[str, Any]) -> None:
    config = json.loads(oci.blob(built.layout, manifest["config"]["digest"]).read_bytes())
    python = ".".join(map(str, sys.version_info[:3]))
    assert config["config"] == {
        "Entrypoint": ["/usr/local/bin/python3", "-I", "-B", "-m", "gpuready"],
        "Env": [
            "PATH=/usr/local/bin:/usr/bin:/bin",
            "LD_LIBRARY_PATH=/usr/local/nvidia/lib:/usr/local/nvidia/lib64",
            "PYTHONDONTWRITEBYTECODE=1",
        ],
        "WorkingDir": "/",
        "Labels": {
            "org.opencontainers.image.title": "gpuready",
            "org.opencontainers.image.description": "Node agent and probes of gpuready",
            "org.opencontainers.image.version": gpuready.__version__,
            "org.opencontainers.image.licenses": "Apache-2.0",
            "dev.gpuready.version": gpuready.__version__,
            "dev.gpuready.python": python,
        },
    }
    titles = [f"Python {python}", "what gpuready requires", f"gpuready {gpuready.__version__}"]
    assert [step["created_by"] for step in config["history"]] == titles


def test_entries_are_sorted_owned_by_root_and_without_time(built: Image, manifest: dict[str, Any]) -> None:
    for layer in manifest["layers"]:
        with tarfile.open(oci.blob(built.layout, layer["digest"])) as tar:
            members = tar.getmembers()
        names = [member.name for member in members]
        assert names == sorted(set(names))
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", 0)}
        assert {m.mode for m in members} <= {0o644, 0o755, 0o700, 0o1777}
        assert all(m.isfile() or m.isdir() for m in members)


def test_nothing_of_this_machine_is_carried(unpacked: Path, source: Path) -> None:
    files = [path for path in unpacked.rglob("*") if path.is_file()]
    personal = ("direct_url.json", "RECORD", "INSTALLER", "REQUESTED", "sitecustomize.py", "usercustomize.py")
    assert [p for p in files if p.name in personal or p.suffix == ".pth" or p.name.startswith("_sysconfigdata")] == []
    ours = [path for path in files if "gpuready" in path.relative_to(unpacked).parts]
    assert [path for path in ours if b"testbed" in path.read_bytes()] == []
    places = [str(place).encode() for place in (source.parent, Path(gpuready.__file__).parents[1], sys.prefix)]
    assert [p for p in files if any(place in p.read_bytes() for place in places)] == []


def test_byte_code_is_there_for_every_module_and_is_never_checked(unpacked: Path) -> None:
    """Start of the probe: 0.13 s against 0.7 s without byte code; 12 MiB less memory for the agent."""
    sources = [path for path in unpacked.rglob("*.py") if path.is_file()]
    without = []
    for path in sources:
        code = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
        head = importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + importlib.util.source_hash(path.read_bytes())
        if not code.is_file() or code.read_bytes()[:16] != head:
            without.append(str(path.relative_to(unpacked)))
    assert without == []


@as_root
def test_agent_and_probes_import_in_the_image_with_nothing_else(unpacked: Path) -> None:
    """As an unprivileged user, isolated, where no file of this machine can be seen."""
    node = [name.name for name in pkgutil.walk_packages(gpuready.node.__path__, "gpuready.node.")]
    modules = [*node, "gpuready.cli.probe", "msgspec", "yaml", "grpclib.server", "google.protobuf", "pynvml"]
    modules += ["httpx2", "click", "ssl", "asyncio", "ctypes", "socket", "uuid", "decimal", "lzma"]
    script = f"import importlib, sys; [importlib.import_module(name) for name in {modules!r}]; print(sorted(sys.path))"
    inside = ["chroot", "--userspec=65534:65534", str(unpacked), "/usr/local/bin/python3", "-I", "-B", "-c", script]
    done = subprocess.run(inside, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": "/nowhere"})
    assert (done.returncode, done.stderr) == (0, "")
    assert all(path.startswith("/usr/local/lib") for path in eval(done.stdout))


@as_root
def test_what_only_a_terminal_needs_is_left_out(unpacked: Path) -> None:
    names = (
        "rich",
        "pygments",
        "markdown_it",
        "pip",
        "setuptools",
        "tkinter",
        "idlelib",
        "ensurepip",
        "test",
        "sqlite3",
    )
    script = f"import importlib.util as u; print([name for name in {names!r} if u.find_spec(name)])"
    done = subprocess.run(
        ["chroot", str(unpacked), "/usr/local/bin/python3", "-I", "-B", "-c", script], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


@as_root
def test_libraries_that_nvidia_drivers_link_to_are_in_the_image(unpacked: Path) -> None:
    """libcuda.so.1 of every driver since 470 needs these by name, also where glibc has made them empty."""
    needed = ["libc.so.6", "libm.so.6", "libdl.so.2", "libpthread.so.0", "librt.so.1"]
    script = f"import ctypes; print([ctypes.CDLL(name)._name for name in {needed!r}])"
    done = subprocess.run(
        ["chroot", str(unpacked), "/usr/local/bin/python3", "-I", "-B", "-c", script], capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (f"{needed!r}\n", "")


def test_the_archive_is_the_layout_with_docker_s_listing(
    built: Image, manifest: dict[str, Any], tmp_path: Path
) -> None:
    oci.archive(built, tmp_path / "image.tar")
    digests = [built.digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
    blobs = [f"blobs/sha256/{digest.removeprefix('sha256:')}" for digest in digests]
    with tarfile.open(tmp_path / "image.tar") as tar:
        there = {member.name: tar.extractfile(member) for member in tar if member.isfile()}
        assert set(there) == {"oci-layout", "index.json", "manifest.json", *blobs}
        contents = {name: file.read() for name, file in there.items() if file}
    assert json.loads(contents["manifest.json"]) == [
        {"Config": blobs[1], "RepoTags": ["localhost/gpuready:test"], "Layers": blobs[2:]}
    ]
    assert {name: contents[name] for name in ("index.json", *blobs)} == {
        name: (built.layout / name).read_bytes() for name in ("index.json", *blobs)
    }
    assert os.listdir(tmp_path) == ["image.tar"]
