"""The journal of a run in the cluster: Secrets, appended by compare-and-swap. The disk covers only the moments before
our namespace exists and after it is gone."""

from __future__ import annotations

import base64
import os
import pathlib
import zlib
from collections.abc import Sequence
from typing import Any

import msgspec

from gpuready.adapters.lock import LEASE, Lock, LockLost
from gpuready.components.native_agent.component import namespace
from gpuready.model.errors import AlreadyExists, Conflict, UserError
from gpuready.model.journal import End, Entry, Intent, Planned, Receipt, Start
from gpuready.model.names import CREATED, MANAGED_BY, NAMESPACE, RUN_LABEL
from gpuready.model.plan import Apply, Delete, Ref, Step, ref_of
from gpuready.model.ports import Clock, Cluster

CHUNK = 96 * 1024  # bytes of compressed entries in one Secret; the API takes 1 MiB
KEEP_RUNS = 5
NS = ref_of(namespace())
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class JournalDamaged(UserError):
    """A journal that this version cannot read."""


def note_path(cluster_uid: str) -> pathlib.Path:
    """Where this machine keeps a run's entries while the cluster cannot: $XDG_STATE_HOME/gpuready/CLUSTER.journal."""
    base = os.environ.get("XDG_STATE_HOME") or pathlib.Path.home() / ".local/state"
    return pathlib.Path(base) / "gpuready" / f"{cluster_uid}.journal"


def read_last(cluster: Cluster, cluster_uid: str) -> list[Entry]:
    """Entries of the newest run, from the cluster or from this machine's disk; empty when there is none."""
    in_cluster = _read_cluster(cluster)
    noted = _noted(note_path(cluster_uid), in_cluster)
    if _run_name(noted) == _run_name(in_cluster):
        return max(noted, in_cluster, key=len)
    return noted or in_cluster


def _read_cluster(cluster: Cluster) -> list[Entry]:
    chunks = list(cluster.list_objects("v1", "Secret", namespace=NAMESPACE, labels=RUN_LABEL))
    runs = sorted({_labels(c)[RUN_LABEL] for c in chunks})
    return _entries_of([c for c in chunks if _labels(c)[RUN_LABEL] == runs[-1]]) if runs else []


def _labels(obj: dict[str, Any]) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def _number(chunk: dict[str, Any]) -> int:
    return int(chunk["metadata"]["name"].rpartition("-")[2])


def _entries_of(chunks: Sequence[dict[str, Any]]) -> list[Entry]:
    out: list[Entry] = []
    for chunk in sorted(chunks, key=_number):
        name = chunk["metadata"]["name"]
        try:
            raw = base64.b64decode(chunk["data"]["entries"], validate=True)
            out += [_decode(line) for line in _inflate(raw).splitlines()]
        except (KeyError, ValueError, zlib.error, msgspec.MsgspecError) as error:
            raise JournalDamaged(
                f"the journal secret/{name} in {NAMESPACE} cannot be read ({error})",
                "it was written by another version or changed by hand: use the version that wrote it",
            ) from None
    return out


def _inflate(raw: bytes, limit: int = 64 << 20) -> bytes:
    inflater = zlib.decompressobj()
    text = inflater.decompress(raw, limit)
    if inflater.unconsumed_tail:
        raise ValueError(f"larger than {limit >> 20} MiB")
    return text


def _read_note(path: pathlib.Path) -> list[Entry]:
    try:
        return [_decode(line) for line in path.read_bytes().splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError) as error:
        raise JournalDamaged(f"the journal {path} cannot be read ({error})", "move it away to begin anew") from None


def _noted(path: pathlib.Path, in_cluster: Sequence[Entry]) -> list[Entry]:
    """The note, unless it is of a run that has ended, or older than the cluster's: then it says nothing any more."""
    noted = _read_note(path)
    ended = any(isinstance(e, End) and e.outcome != "failed" for e in noted)
    older = bool(noted and in_cluster) and _run_name(noted) < _run_name(in_cluster)
    return [] if ended or older else noted


def _run_name(entries: Sequence[Entry]) -> str:
    """Begins with the time of its start; "" when there is no run."""
    first = entries[0] if entries else None
    return first.run if isinstance(first, Start) else ""


class ClusterJournal:
    """The journal of one run, open for appending. Implements ports.Journal."""

    def __init__(self, cluster: Cluster, clock: Clock, cluster_uid: str, holder: str) -> None:
        self.cluster, self.clock, self.holder = cluster, clock, holder
        self.note = note_path(cluster_uid)
        self.lock = Lock(cluster, clock, holder)
        self._entries: list[Entry] = []
        self._chunk: dict[str, Any] = {}
        self._on_disk = False

    # -- beginning

    def begin(self, start: Start, planned: Planned, *, take_over: bool = False) -> None:
        """A new run. Where our namespace does not exist its creation is the first step, journalled on disk."""
        self._entries = [start, planned]
        make = _namespace_step(planned)
        if make is not None and self.cluster.get(NS) is None:
            self._entries.append(Intent(at=self.clock.now(), step=make.id))
            self._write_note()
            self._ground(start, make, take_over)
            return
        self.lock.acquire(start.run, take_over=take_over)
        self._create_chunk(0, self._entries)
        self._prune(start.run)

    def _ground(self, start: Start, make: Step, take_over: bool) -> None:
        """Namespace, lock, first Secret; each may be there already from this very run, killed in between."""
        try:
            live = self.cluster.create(namespace(start.run))
        except AlreadyExists:
            live = self.cluster.get(NS) or {}
            if (live.get("metadata", {}).get("annotations") or {}).get(CREATED) != start.run:
                self._drop_note()
                raise UserError(
                    f"another run created {NS} at the same moment", "run `gpuready status`, then this again"
                ) from None
        self.lock.acquire(start.run, take_over=take_over)
        self._entries.append(Receipt(at=self.clock.now(), step=make.id, uid=live["metadata"]["uid"]))
        self._create_chunk(0, self._entries)
        self._drop_note()

    def resume(self, *, take_over: bool = False) -> list[Entry]:
        """Open the last run again; raises UserError when there is none or somebody is at work on it."""
        stored = _read_cluster(self.cluster)
        noted = _noted(self.note, stored)
        if noted and _leaving(noted):
            self._entries, self._on_disk = noted, True
            return self._entries
        if noted and not (stored and stored[0] == noted[0]):
            start, planned = noted[0], noted[1]
            assert isinstance(start, Start)
            assert isinstance(planned, Planned)
            make = _namespace_step(planned)
            assert make is not None
            self._entries = noted
            self._ground(start, make, take_over)
            return self._entries
        if not stored:
            raise UserError("there is no run to resume on this cluster", "gpuready up begins one")
        self._drop_note()
        start = stored[0]
        assert isinstance(start, Start)
        self.lock.acquire(start.run, take_over=take_over)
        # read again under the lock: the run that held it may have gone on until now
        self._entries = _read_cluster(self.cluster)
        chunks = list(self.cluster.list_objects("v1", "Secret", namespace=NAMESPACE, labels=f"{RUN_LABEL}={start.run}"))
        self._chunk = max(chunks, key=_number)
        return self._entries

    # -- ports.Journal

    def entries(self) -> Sequence[Entry]:
        return self._entries

    def append(self, entry: Entry) -> None:
        self._entries.append(entry)
        if self._on_disk:
            self._write_note()
            return
        self.hold()
        raw = base64.b64decode(self._chunk["data"]["entries"])
        number = _number(self._chunk)
        if len(raw) > CHUNK:
            self._create_chunk(number + 1, [entry])
            return
        self._chunk["data"]["entries"] = _deflate(_inflate(raw) + _encode(entry) + b"\n")
        try:
            self._chunk = self.cluster.replace(self._chunk)
        except Conflict:
            raise LockLost(
                "another run has written to this run's journal; this one stops here", "gpuready status"
            ) from None

    def hold(self) -> None:
        if not self._on_disk:
            self.lock.hold()

    def leave_cluster(self) -> None:
        """From now on entries go to disk: the namespace that holds the journal is about to be deleted."""
        self._on_disk = True
        self._write_note()

    def close(self, end: End, *, nothing_left: bool = False) -> None:
        """End the run and let go of the lock. `nothing_left`: the journal itself goes too (uninstall)."""
        self.append(end)
        if self._on_disk:
            if end.outcome != "failed":
                self._drop_note()
            return
        if nothing_left:
            for chunk in self.cluster.list_objects("v1", "Secret", namespace=NAMESPACE, labels=RUN_LABEL):
                self._delete("Secret", chunk)
            self.cluster.delete(LEASE)
            return
        self.lock.release()

    # -- storage

    def _create_chunk(self, number: int, entries: Sequence[Entry]) -> None:
        start = self._entries[0]
        assert isinstance(start, Start)
        text = b"".join(_encode(e) + b"\n" for e in entries)
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "gpuready.dev/journal",
            "metadata": {
                "name": f"gpuready-run-{start.run}-{number}",
                "namespace": NAMESPACE,
                "labels": {**MANAGED_BY, RUN_LABEL: start.run},
            },
            "data": {"entries": _deflate(text)},
        }
        self._chunk = self.cluster.create(secret)

    def _prune(self, current: str) -> None:
        chunks = list(self.cluster.list_objects("v1", "Secret", namespace=NAMESPACE, labels=RUN_LABEL))
        runs = sorted({_labels(c)[RUN_LABEL] for c in chunks} - {current})
        for chunk in chunks:
            if _labels(chunk)[RUN_LABEL] in runs[:-KEEP_RUNS]:
                self._delete("Secret", chunk)

    def _delete(self, kind: str, obj: dict[str, Any]) -> None:
        meta = obj["metadata"]
        self.cluster.delete(Ref(api_version="v1", kind=kind, name=meta["name"], namespace=NAMESPACE), uid=meta["uid"])

    def _write_note(self) -> None:
        """Whole file, fsynced, renamed into place, readable by this user alone."""
        self.note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self.note.with_suffix(".part")
        try:
            with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(b"".join(_encode(e) + b"\n" for e in self._entries))
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, self.note)
        except OSError as error:
            raise UserError(
                f"the journal {self.note} cannot be written ({error.strerror})",
                "free space there or set XDG_STATE_HOME to another folder; nothing was changed",
            ) from None

    def _drop_note(self) -> None:
        self.note.unlink(missing_ok=True)


def _deflate(text: bytes) -> str:
    return base64.b64encode(zlib.compress(text, 6)).decode()


def _namespace_step(planned: Planned) -> Step | None:
    for step in planned.plan.steps:
        if isinstance(step.action, Apply) and step.verb == "create" and ref_of(step.action.object) == NS:
            return step
    return None


def _leaving(entries: Sequence[Entry]) -> bool:
    """The run was about to delete our namespace, or had done so."""
    planned = next((e for e in entries if isinstance(e, Planned)), None)
    last = {s.id for s in planned.plan.steps if isinstance(s.action, Delete) and s.action.ref == NS} if planned else ()
    return any(isinstance(e, Intent) and e.step in last for e in entries)


class ClusterJournals:
    """Implements engine.session.Journals for one cluster."""

    def __init__(self, cluster: Cluster, clock: Clock, cluster_uid: str, holder: str) -> None:
        self.cluster, self.clock, self.cluster_uid, self.holder = cluster, clock, cluster_uid, holder

    def last(self) -> list[Entry]:
        return read_last(self.cluster, self.cluster_uid)

    def open(self) -> ClusterJournal:
        return ClusterJournal(self.cluster, self.clock, self.cluster_uid, self.holder)
