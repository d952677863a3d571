"""An OCI image layout on disk, written so that the same contents give the same digest: sorted, no times, no owners.

Formats: https://github.com/opencontainers/image-spec (layout, index, manifest, config), and the manifest.json that
`docker load` has read since Docker 1.10.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

import msgspec

from gpuready.model.errors import UserError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"
OURS = "dev.gpuready.version"  # annotation of the index: says that a directory is ours to write over
GZIP = 31  # zlib's window bits for a gzip stream; its header carries no time
BLOB = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an image, or a directory when `data` is None."""

    data: bytes | None
    mode: int = 0o644


Tree = dict[str, Entry]  # image path without the leading slash -> what lies there


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as it lies among the blobs. Sizes in bytes."""

    digest: str
    size: int
    diff_id: str  # digest of the uncompressed tar
    unpacked: int
    title: str


@dataclass(frozen=True, slots=True)
class Image:
    """A finished image layout. Sizes in bytes."""

    reference: str
    digest: str  # of the manifest
    size: int  # what a node downloads
    unpacked: int
    platform: str  # linux/amd64
    layout: Path


class _Digesting:
    """A file that knows the digest and the size of what was written to it."""

    def __init__(self, file: IO[bytes] | None = None) -> None:
        self._file, self._hash, self.size = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> int:
        self._hash.update(data)
        self.size += len(data)
        return self._file.write(data) if self._file else len(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


class _Gzip:
    """Compresses into `out`; `plain` digests what went in."""

    def __init__(self, out: _Digesting) -> None:
        self._out, self._deflate, self.plain = out, zlib.compressobj(6, zlib.DEFLATED, GZIP), _Digesting()

    def write(self, data: bytes) -> int:
        self._out.write(self._deflate.compress(data))
        return self.plain.write(data)

    def close(self) -> None:
        self._out.write(self._deflate.flush())


def prepare(layout: Path) -> None:
    """Make `layout` ready to take an image; UserError when it holds something that is not ours."""
    try:
        occupied = layout.is_dir() and any(layout.iterdir())
        if occupied and OURS not in _annotations(layout):
            raise UserError(f"{layout} is not empty and holds no image of gpuready", "name a new directory with -o")
        (layout / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(layout, error) from error


def write_layer(tree: Tree, title: str, layout: Path) -> Layer:
    """Pack `tree` as a gzip-compressed tar into the layout's blobs."""
    with _staged(layout) as (file, keep):
        out = _Digesting(file)
        packed = _Gzip(out)
        write_tar(packed, tree)
        packed.close()
        keep(out.digest)
    return Layer(out.digest, out.size, packed.plain.digest, packed.plain.size, title)


def write_tar(out: Any, tree: Tree) -> None:
    """A tar of `tree` and the directories above it: sorted, owner 0, time 0."""
    whole = dict(tree)
    for path in tree:
        for parent in PurePosixPath(path).parents:
            if parent.name:
                whole.setdefault(str(parent), Entry(None, 0o755))
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(whole):
            entry, info = whole[path], tarfile.TarInfo(path)
            info.mode = entry.mode
            if entry.data is None:
                info.type = tarfile.DIRTYPE
                tar.addfile(info)
                continue
            info.size = len(entry.data)
            tar.addfile(info, io.BytesIO(entry.data))


def finish(layout: Path, layers: list[Layer], reference: str, config: Mapping[str, Any]) -> Image:
    """Write config, manifest and index over `layers`, and drop the blobs of earlier images."""
    labels = config["config"]["Labels"]
    whole = {
        **config,
        "created": "1970-01-01T00:00:00Z",
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": layer.title} for layer in layers],
    }
    described = _write_blob(layout, whole, CONFIG)
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": described,
        "layers": [{"mediaType": LAYER, "digest": layer.digest, "size": layer.size} for layer in layers],
        "annotations": labels,
    }
    platform = {"architecture": config["architecture"], "os": config["os"]}
    # containerd takes the image's name from the first annotation, podman from the second
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
    listed = {**_write_blob(layout, manifest, MANIFEST), "platform": platform, "annotations": names}
    index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [listed], "annotations": {OURS: labels[OURS]}}
    _replace(layout / "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
    _replace(layout / "index.json", _json(index))
    _drop_others(layout, {listed["digest"], described["digest"], *(layer.digest for layer in layers)})
    size = listed["size"] + described["size"] + sum(layer.size for layer in layers)
    unpacked = sum(layer.unpacked for layer in layers)
    return Image(reference, listed["digest"], size, unpacked, f"{config['os']}/{config['architecture']}", layout)


def archive(image: Image, target: Path) -> None:
    """One tar that `ctr images import`, `docker load` and `podman load` take; appears whole or not at all."""
    manifest = msgspec.json.decode(blob(image.layout, image.digest).read_bytes())
    listing = {
        "Config": _inside(manifest["config"]["digest"]),
        "RepoTags": [image.reference],
        "Layers": [_inside(layer["digest"]) for layer in manifest["layers"]],
    }
    tree: Tree = {"manifest.json": Entry(_json([listing]))}
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        tree |= {name: Entry((image.layout / name).read_bytes()) for name in ("oci-layout", "index.json")}
        for digest in (image.digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])):
            tree[_inside(digest)] = Entry(blob(image.layout, digest).read_bytes())
        with partial.open("wb") as file:
            write_tar(file, tree)
        partial.replace(target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        partial.unlink(missing_ok=True)


def blob(layout: Path, digest: str) -> Path:
    """Where the blob with this digest lies."""
    return layout / _inside(digest)


def cannot_write(path: Path, error: OSError) -> UserError:
    """The operating system's refusal in the user's words."""
    return UserError(f"cannot write {path}: {error.strerror or error}", "free space there, or name another place")


def _inside(digest: str) -> str:
    return f"blobs/sha256/{digest.removeprefix('sha256:')}"


def _json(value: object) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _annotations(layout: Path) -> dict[str, str]:
    try:
        index = msgspec.json.decode((layout / "index.json").read_bytes(), type=dict[str, Any])
    except (OSError, msgspec.DecodeError):
        return {}
    found = index.get("annotations")
    return found if isinstance(found, dict) else {}


def _write_blob(layout: Path, value: object, media_type: str) -> dict[str, Any]:
    data = _json(value)
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    _replace(blob(layout, digest), data)
    return {"mediaType": media_type, "digest": digest, "size": len(data)}


def _replace(path: Path, data: bytes) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


@contextmanager
def _staged(layout: Path) -> Iterator[tuple[IO[bytes], Any]]:
    """A file among the blobs that gets its name only when its digest is known."""
    folder = layout / "blobs" / "sha256"
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".layer.", suffix=".partial", delete=False) as file:
            try:
                yield file, lambda digest: _keep(file, blob(layout, digest))
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise cannot_write(layout, error) from error


def _keep(file: Any, name: Path) -> None:
    file.flush()
    os.chmod(file.name, 0o644)
    os.replace(file.name, name)


def _drop_others(layout: Path, wanted: set[str]) -> None:
    for path in (layout / "blobs" / "sha256").iterdir():
        if BLOB.fullmatch(path.name) and f"sha256:{path.name}" not in wanted:
            path.unlink(missing_ok=True)
