"""What the engine needs of the world. Adapters implement these; the engine imports no adapter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from gpuready.model.chart import ChartFiles
from gpuready.model.journal import End, Entry, Planned, Start
from gpuready.model.plan import Helm, Ref

Json = dict[str, Any]


class Cluster(Protocol):
    """The Kubernetes API, one request a call. Every failure is an ApiError (a UserError)."""

    def get(self, ref: Ref) -> Json | None: ...

    def apply(
        self, obj: Mapping[str, Any], *, manager: str, force: bool = False, dry_run: bool = False, subresource: str = ""
    ) -> Json: ...

    def create(self, obj: Mapping[str, Any], *, dry_run: bool = False) -> Json: ...

    def replace(self, obj: Mapping[str, Any]) -> Json: ...

    def patch(self, ref: Ref, body: Mapping[str, Any], *, subresource: str = "") -> Json: ...

    def delete(self, ref: Ref, *, uid: str = "", grace: int | None = None) -> None: ...

    def list_objects(
        self, api_version: str, kind: str, *, namespace: str = "", labels: str = "", fields: str = ""
    ) -> Iterable[Json]: ...

    def wait_for(
        self, ref: Ref, until: Callable[[Json | None], bool], *, timeout: float, each: Callable[[], None] | None = None
    ) -> Json | None: ...

    def proxy_get(self, namespace: str, pod: str, port: int, path: str = "/") -> bytes: ...

    def logs(self, namespace: str, pod: str, *, container: str = "", previous: bool = False, limit: int = 0) -> str: ...


class Charts(Protocol):
    """Helm: reads charts and installs them into the cluster that the Cluster port leads to. Fails by UserErrors."""

    def read(self, source: str, name: str, version: str) -> ChartFiles: ...

    def install(self, action: Helm) -> None:
        """Install or upgrade; without waiting for what the release's objects become."""
        ...

    def roll_back(self, release: str, namespace: str, revision: int) -> None: ...

    def uninstall(self, release: str, namespace: str) -> None: ...


class Reader(Protocol):
    """Raw evidence: the pages of a list, or one object, exactly as answered. Live API or a bundle."""

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]: ...


class Source(Reader, Protocol):
    """All that a diagnosis rests on: what the API lists, what pods wrote, what agents answer. Live, or a bundle."""

    def logs(self, namespace: str, pod: str, *, container: str = "", previous: bool = False, tail: int = 0) -> str: ...

    def proxy_get(self, namespace: str, pod: str, port: int, path: str = "/") -> bytes: ...


class Clock(Protocol):
    def now(self) -> str:
        """RFC 3339, UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds, counting time in which this process was stopped."""
        ...

    def sleep(self, seconds: float) -> None: ...


class Journal(Protocol):
    """The append-only record of one run, in the cluster; each append is compare-and-swap and proves the lock."""

    @property
    def holder(self) -> str: ...

    def begin(self, start: Start, planned: Planned, *, take_over: bool = False) -> None:
        """A new run: get the lock, store the first entries."""
        ...

    def resume(self, *, take_over: bool = False) -> Sequence[Entry]:
        """Open the last run again, under the lock."""
        ...

    def close(self, end: End, *, nothing_left: bool = False) -> None:
        """End the run and let go of the lock. `nothing_left`: the journal itself is removed too."""
        ...

    def entries(self) -> Sequence[Entry]: ...

    def append(self, entry: Entry) -> None:
        """Raises LockLost when another run has taken over; then nothing was written."""
        ...

    def leave_cluster(self) -> None:
        """From now on entries go to disk: the namespace that holds the journal is about to be deleted."""
        ...

    def hold(self) -> None:
        """Prove that this run still has the cluster to itself; called before every write and during waits."""
        ...
