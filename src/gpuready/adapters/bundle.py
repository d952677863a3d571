"""A bundle: everything that a diagnosis read, redacted, in one archive that replays it without the cluster.

index.json says which question each file answers, or why there is no answer. Opening one trusts nothing in it: no path
is followed, no size believed.
"""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from gpuready.model.errors import Incomplete, NotFound, UserError
from gpuready.model.facts.cluster import Identity
from gpuready.model.ports import Source
from gpuready.model.redact import redact
from gpuready.model.scrub import scrub

VERSION = 1
INDEX = "index.json"
PROBE = "host "  # question of an entry: what the probe of this node printed
MAX_FILES = 50_000
MAX_FILE = 64 << 20  # bytes of one file
MAX_BYTES = 512 << 20  # bytes of all files, unpacked
MAX_INDEX = 8 << 20  # bytes of the index: some fifty thousand questions


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`question` is as the source was asked; `files` hold the answer, page by page; `error` says why there is none."""

    question: str
    files: tuple[str, ...] = ()
    error: str = ""
    next: str = ""
    absent: bool = False  # the API answered that there is no such thing
    cut: bool = False  # a list of which `files` hold only the beginning


class Index(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    made_by: str  # version of gpuready
    at: str  # RFC 3339
    identity: Identity
    entries: tuple[Entry, ...]
    provoked: str = ""  # how the failure was brought about, where it was on purpose


class Recorder:
    """Implements ports.Source: asks another one, and keeps what it says."""

    def __init__(self, source: Source, path: Path) -> None:
        """Raises OSError when the file cannot be made."""
        if path.exists():
            raise FileExistsError(path)
        self.source = source
        self.entries: list[Entry] = []
        self._count = 0
        self._file = Unnamed(path)
        self._archive = tarfile.open(fileobj=self._file.open, mode="w:gz", compresslevel=6)  # noqa: SIM115

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        names: list[str] = []
        try:
            for page in self.source.pages(path, params):
                names.append(self._keep(scrubbed(page), "json"))
                yield page
        except UserError as error:
            self._refused(_pages(path, params), error, names)
            raise
        self.entries.append(Entry(question=_pages(path, params), files=tuple(names)))

    def logs(self, namespace: str, pod: str, *, container: str = "", previous: bool = False, tail: int = 0) -> str:
        question = _log(namespace, pod, container, previous, tail)
        try:
            text = self.source.logs(namespace, pod, container=container, previous=previous, tail=tail)
        except UserError as error:
            self._refused(question, error)
            raise
        self.entries.append(Entry(question=question, files=(self._keep(redact(text).encode(), "log"),)))
        return text

    def proxy_get(self, namespace: str, pod: str, port: int, path: str = "/") -> bytes:
        question = f"proxy {namespace}/{pod}:{port}{path}"
        try:
            body = self.source.proxy_get(namespace, pod, port, path)
        except UserError as error:
            self._refused(question, error)
            raise
        self.entries.append(Entry(question=question, files=(self._keep(scrubbed(body), "json"),)))
        return body

    def keep_probe(self, node: str, answer: str | UserError) -> None:
        """What the probe of a node printed, or why there is nothing: it is asked before, and not through a source."""
        if isinstance(answer, UserError):
            self._refused(f"{PROBE}{node}", answer)
        else:
            name = self._keep(redact(answer).encode(), "json")
            self.entries.append(Entry(question=f"{PROBE}{node}", files=(name,)))

    def close(self, identity: Identity, made_by: str, at: str, provoked: str = "") -> None:
        """Write the index, and only now give the file its name. Raises FileExistsError when it has been taken."""
        index = Index(
            version=VERSION, made_by=made_by, at=at, identity=identity, entries=tuple(self.entries), provoked=provoked
        )
        self._add(INDEX, msgspec.json.format(scrubbed(msgspec.json.encode(index)), indent=1))
        self._archive.close()
        self._file.name_it()

    def abandon(self) -> None:
        """Leave nothing behind."""
        self._file.close()

    def _refused(self, question: str, error: UserError, names: list[str] | None = None) -> None:
        self.entries.append(
            Entry(
                question=question,
                files=tuple(names or ()),
                error=redact(error.what),
                next=redact(error.next),
                absent=isinstance(error, NotFound),
                cut=isinstance(error, Incomplete),
            )
        )

    def _keep(self, data: bytes, ending: str) -> str:
        self._count += 1
        name = f"{self._count:05d}.{ending}"
        self._add(name, data)
        return name

    def _add(self, name: str, data: bytes) -> None:
        member = tarfile.TarInfo(name)
        member.size = len(data)
        member.mode = 0o600
        self._archive.addfile(member, io.BytesIO(data))


class Unnamed:
    """A file, for its owner alone, that has no name until it is whole: nothing is left of it where we are killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary: Path | None = None
        try:
            number = os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o600)
        except (AttributeError, OSError):  # not Linux, or a file system that has no such files
            number, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            self._temporary = Path(name)
        self.open = os.fdopen(number, "w+b")

    def name_it(self) -> None:
        self.open.flush()
        os.fsync(self.open.fileno())
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:  # with the number of a folder os.link follows the link that /proc shows, without it does not
            os.link(self._temporary or f"/proc/self/fd/{self.open.fileno()}", self._path, src_dir_fd=folder)
        finally:
            os.close(folder)
            self.close()

    def close(self) -> None:
        self.open.close()
        if self._temporary:
            self._temporary.unlink(missing_ok=True)


def scrubbed(page: bytes) -> bytes:
    """A page of the API without secrets; what is no JSON is redacted as text."""
    try:
        return msgspec.json.encode(scrub(msgspec.json.decode(page)))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return redact(page.decode("utf-8", "replace")).encode()


def _pages(path: str, params: Mapping[str, str] | None) -> str:
    wanted = sorted((params or {}).items())
    return f"pages {path}" + (f"?{'&'.join(f'{k}={v}' for k, v in wanted)}" if wanted else "")


def _log(namespace: str, pod: str, container: str, previous: bool, tail: int) -> str:
    return f"log {namespace}/{pod} {container} tail={tail}{' previous' if previous else ''}"


class BundleSource:
    """Implements ports.Source from a bundle. What it was never asked is refused, not taken for absent."""

    def __init__(self, index: Index, files: Mapping[str, bytes], name: str) -> None:
        self.index, self._files, self._name = index, files, name
        self._entries = {entry.question: entry for entry in index.entries}

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        entry = self._entry(_pages(path, params))
        yield from self._answer(entry)
        if entry.error:
            self._refuse(entry)

    def logs(self, namespace: str, pod: str, *, container: str = "", previous: bool = False, tail: int = 0) -> str:
        entry = self._entry(_log(namespace, pod, container, previous, tail))
        if entry.error:
            self._refuse(entry)
        return b"".join(self._answer(entry)).decode("utf-8", "replace")

    def proxy_get(self, namespace: str, pod: str, port: int, path: str = "/") -> bytes:
        entry = self._entry(f"proxy {namespace}/{pod}:{port}{path}")
        if entry.error:
            self._refuse(entry)
        return b"".join(self._answer(entry))

    def probed(self) -> dict[str, str | UserError]:
        """By node, as they were kept."""
        found: dict[str, str | UserError] = {}
        for entry in self.index.entries:
            if entry.question.startswith(PROBE):
                text = b"".join(self._answer(entry)).decode("utf-8", "replace")
                found[entry.question.removeprefix(PROBE)] = UserError(entry.error, entry.next) if entry.error else text
        return found

    def _entry(self, question: str) -> Entry:
        entry = self._entries.get(question)
        if entry is None:
            raise UserError(f"the bundle has no answer to: {question}"[:300], "collect a new one with this version")
        return entry

    def _answer(self, entry: Entry) -> Iterator[bytes]:
        for name in entry.files:
            if name not in self._files:
                raise UserError(f"{self._name} is damaged: {name[:80]!r} is not in it", "collect it anew")
            yield self._files[name]

    def _refuse(self, entry: Entry) -> NoReturn:
        if entry.absent:
            raise NotFound(entry.error, entry.next, code=404)
        if entry.cut:
            raise Incomplete(entry.error, entry.next)
        raise UserError(entry.error, entry.next)


def open_bundle(path: Path) -> BundleSource:
    """Raises UserError for what is no bundle, is damaged, or is larger than a bundle may be."""
    try:
        files = _unpacked(path)
    except FileNotFoundError:
        raise UserError(f"{path} is not there", "gpuready collect makes a bundle") from None
    except (OSError, tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise UserError(f"{path} cannot be read as a bundle: {error}"[:300], "gpuready collect makes one") from None
    try:
        told = files.pop(INDEX)
        if len(told) > MAX_INDEX:
            raise too_large(path)
        index = msgspec.json.decode(told, type=Index)
    except KeyError:
        raise UserError(f"{path} is not complete: it has no {INDEX}", "collect it anew") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: {INDEX} is not what a bundle has: {error}"[:300], "collect it anew") from None
    if index.version != VERSION:
        raise UserError(
            f"{path} is of version {index.version}; this gpuready reads {VERSION}", "use the version that made it"
        )
    return BundleSource(index, files, str(path))


def _unpacked(path: Path) -> dict[str, bytes]:
    """Regular files by name, in memory, within the bounds. Nothing is written anywhere."""
    files: dict[str, bytes] = {}
    with gzip.open(path) as plain, tarfile.open(fileobj=Bounded(plain, path), mode="r|") as archive:
        for number, member in enumerate(archive, 1):
            if number > MAX_FILES or member.size > MAX_FILE:
                raise too_large(path)
            body: Any = archive.extractfile(member) if member.isreg() else None
            if member.name in files:
                raise UserError(f"{path} has {member.name[:80]!r} twice", "was it made by gpuready collect?")
            if body is not None:
                files[member.name] = body.read()
    return files


class Bounded(io.RawIOBase):
    """What an archive unpacks to, until it is more than a bundle may be: also its headers may be bombs."""

    def __init__(self, plain: gzip.GzipFile, path: Path) -> None:
        self._plain, self._path, self._left = plain, path, MAX_BYTES

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0 or size > MAX_FILE:
            raise too_large(self._path)
        data = self._plain.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise too_large(self._path)
        return data


def too_large(path: Path) -> UserError:
    return UserError(f"{path} is larger than a bundle may be", "was it made by gpuready collect?")
