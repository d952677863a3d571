"""Reads a Helm chart, an archive or a folder: its version, its CRDs, its digest. Nothing in it is run or unpacked.

https://helm.sh/docs/topics/charts/#the-chart-file-structure
"""

from __future__ import annotations

import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from gpuready.adapters.kube_words import clean
from gpuready.model.chart import ChartFiles
from gpuready.model.errors import UserError
from gpuready.model.plan import Chart

MAX_ARCHIVE = 32 << 20
MAX_FILES = 5000
MAX_BYTES = 64 << 20  # of all files together, unpacked
WANTED = re.compile(r"^(?:charts/(?P<inner>[A-Za-z0-9._-]+)/)?(?P<file>Chart\.yaml|crds/[^/]+\.ya?ml)$")
ANCHOR = re.compile(rb"^[ ]*(?:[\w.\"'-]+:[ ]+|-[ ]+)&[A-Za-z0-9]", re.MULTILINE)  # what an alias bomb is made of
AGAIN = "get the chart anew, or name another with gpuOperator.chart"


def read_chart(path: Path, source: str, name: str) -> ChartFiles:
    """The chart in this archive or folder. `source` is where the user said that it is. UserError where it is none."""
    shown = clean(source, 300)
    try:
        digest, files = _folder(path) if path.is_dir() else _archive(path)
        return _chart(digest, files, source, name)
    except OSError as error:
        raise UserError(f"chart {shown} cannot be read: {error.strerror or 'no such file'}", AGAIN) from None
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise UserError(f"chart {shown} is no archive that can be read: {clean(str(error), 200)}", AGAIN) from None
    except _Bad as bad:
        raise UserError(f"chart {shown}: {bad}", AGAIN) from None


class _Bad(Exception):
    pass


def _archive(path: Path) -> tuple[str, dict[str, bytes]]:
    with path.open("rb") as file:
        data = file.read(MAX_ARCHIVE + 1)
    if len(data) > MAX_ARCHIVE:
        raise _Bad(f"larger than {MAX_ARCHIVE >> 20} MiB")
    return hashlib.sha256(data).hexdigest(), dict(_members(data))


def _members(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Wanted files by their path below the chart's folder."""
    total = 0
    with tarfile.open(fileobj=io.BytesIO(data), mode="r|gz") as tar:
        for number, member in enumerate(tar):
            total += member.size
            if number > MAX_FILES or total > MAX_BYTES:
                raise _Bad(f"more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB unpacked")
            inside = "/".join(PurePosixPath(member.name).parts[1:])
            file = tar.extractfile(member) if member.isfile() and WANTED.match(inside) else None
            if file:
                yield inside, file.read()


def _folder(path: Path) -> tuple[str, dict[str, bytes]]:
    """Digest over the names and contents of all files; charts within it may be archives."""
    digest, files, total = hashlib.sha256(), {}, 0
    found = sorted(p for p in path.rglob("*") if p.is_file() and not p.is_symlink())
    if len(found) > MAX_FILES:
        raise _Bad(f"more than {MAX_FILES} files: is it the chart's own folder?")
    for file in found:
        total += file.stat().st_size
        if total > MAX_BYTES:
            raise _Bad(f"more than {MAX_BYTES >> 20} MiB")
        name, data = file.relative_to(path).as_posix(), file.read_bytes()
        digest.update(f"{len(name)} {name} {len(data)} ".encode() + data)
        if WANTED.match(name):
            files[name] = data
        elif name.startswith("charts/") and name.endswith(".tgz"):
            files.update(
                {f"charts/{_stem(name)}/{inside}": d for inside, d in _members(data) if "/charts/" not in inside}
            )
    return digest.hexdigest(), files


def _stem(name: str) -> str:
    """charts/node-feature-discovery-chart-0.19.0.tgz -> node-feature-discovery-chart"""
    return re.sub(r"-v?\d[\w.+-]*$", "", name.removeprefix("charts/").removesuffix(".tgz"))


def _chart(digest: str, files: Mapping[str, bytes], source: str, name: str) -> ChartFiles:
    about = next(iter(_documents(files.get("Chart.yaml", b""), "Chart.yaml")), {})
    if about.get("name") != name or not isinstance(about.get("version"), str):
        raise _Bad(f"no chart {name} with a version: Chart.yaml says {clean(str(about.get('name')), 60)}")
    own: list[dict[str, Any]] = []
    inner: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(files):
        found = WANTED.match(path)
        if not found or not found["file"].startswith("crds/"):
            continue
        crds = [d for d in _documents(files[path], path) if d.get("kind") == "CustomResourceDefinition"]
        if found["inner"]:
            inner.setdefault(found["inner"], []).extend(crds)
        else:
            own += crds
    chart = Chart(source=source, name=name, version=about["version"], digest=f"sha256:{digest}")
    return ChartFiles(chart=chart, crds=tuple(own), inner_crds={k: tuple(v) for k, v in inner.items()})


def _documents(data: bytes, path: str) -> list[dict[str, Any]]:
    if ANCHOR.search(data):
        raise _Bad(f"{path} has YAML anchors, which are not read")
    try:
        found = list(yaml.load_all(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError, RecursionError, UnicodeDecodeError) as error:
        raise _Bad(f"{path} is no YAML: {clean(str(error), 200)}") from None
    return [d for d in found if isinstance(d, dict)]
