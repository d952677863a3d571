"""One run at a time: a Lease that every write proves again, so that a run that slept while another took over stops."""

from __future__ import annotations

import getpass
import os
import pathlib
import socket
from typing import Any

from gpuready.model.errors import AlreadyExists, Conflict, UserError
from gpuready.model.names import MANAGED_BY, NAMESPACE
from gpuready.model.plan import Ref
from gpuready.model.ports import Clock, Cluster

LEASE = Ref(api_version="coordination.k8s.io/v1", kind="Lease", name="gpuready-run", namespace=NAMESPACE)
PROVEN_FOR = 2.0  # seconds that a proof of the lock is good for
GRACE = 5.0  # seconds that a taker waits, so that the other's last proof and request are over


class LockLost(UserError):
    """Another run has taken over; this one has written nothing since and must stop."""


def holder_identity() -> str:
    """user@host, process, its start and the boot: enough to tell on this machine whether the holder still lives."""
    pid = os.getpid()
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()} pid {pid} {_started(pid)} {_boot()}"


def _boot() -> str:
    try:
        return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        return "?"


def _started(pid: int) -> str:
    """Clock ticks after boot at which the process began; empty when there is no such process (or it is a zombie)."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]


def surely_dead(holder: str) -> bool:
    """True only when the holder was a process of this machine and boot that is gone."""
    words = holder.split()
    if len(words) != 5 or words[4] != _boot() or words[4] == "?":
        return False
    here = words[0].rpartition("@")[2] == socket.gethostname()
    return here and words[2].isdigit() and _started(int(words[2])) != words[3]


class Lock:
    def __init__(self, cluster: Cluster, clock: Clock, holder: str) -> None:
        self.cluster, self.clock, self.holder = cluster, clock, holder
        self._lease: dict[str, Any] = {}
        self._proven = 0.0

    def acquire(self, run: str, *, take_over: bool) -> None:
        """Get the lock or raise UserError naming who has it."""
        live = self.cluster.get(LEASE)
        if live is None:
            return self._create(run)
        other = live.get("spec", {}).get("holderIdentity") or ""
        if other and not surely_dead(other) and not take_over:
            raise _held(other, live)
        live["spec"] = self._spec()
        live["metadata"].setdefault("annotations", {})["gpuready.dev/run"] = run
        try:
            self._proved(self.cluster.replace(live))
        except Conflict:
            raise _held("another run", live) from None
        if other and not surely_dead(other):
            self.clock.sleep(GRACE)
            self.hold()
        return None

    def _create(self, run: str) -> None:
        meta = {
            "name": LEASE.name,
            "namespace": NAMESPACE,
            "labels": MANAGED_BY,
            "annotations": {"gpuready.dev/run": run},
        }
        lease = {"apiVersion": LEASE.api_version, "kind": "Lease", "metadata": meta, "spec": self._spec()}
        try:
            self._proved(self.cluster.create(lease))
        except AlreadyExists:
            raise _held("another run", {}) from None

    def _spec(self) -> dict[str, Any]:
        return {"holderIdentity": self.holder, "leaseDurationSeconds": 15, "renewTime": self.clock.now()}

    def _proved(self, lease: dict[str, Any]) -> None:
        self._lease, self._proven = lease, self.clock.monotonic()

    def hold(self) -> None:
        """Prove that the lock is still ours; cheap when proven less than PROVEN_FOR seconds ago."""
        if self.clock.monotonic() - self._proven < PROVEN_FOR:
            return
        self._lease["spec"]["renewTime"] = self.clock.now()
        try:
            self._proved(self.cluster.replace(self._lease))
        except Conflict:
            raise self._lost() from None

    def _lost(self) -> LockLost:
        live = self.cluster.get(LEASE) or {}
        other = live.get("spec", {}).get("holderIdentity") or "another run"
        return LockLost(
            f"this run was taken over by {_short(other)}; it stops here and has written nothing since",
            "gpuready status shows the cluster",
        )

    def release(self) -> None:
        """Let go. A lock that another run has taken meanwhile is left alone."""
        self._lease["spec"].update(holderIdentity="", renewTime=self.clock.now())
        try:
            self._lease = self.cluster.replace(self._lease)
        except Conflict:
            return


def _held(other: str, live: dict[str, Any]) -> UserError:
    since = live.get("spec", {}).get("renewTime", "")
    when = f", last heard of at {since[:19]}Z" if since else ""
    return UserError(
        f"another run is at work on this cluster: {_short(other)}{when}",
        "wait for it; if it is certainly dead, `gpuready apply --resume --take-over` goes on with its work",
    )


def _short(holder: str) -> str:
    return " ".join(holder.split()[:3])
