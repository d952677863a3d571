"""What the API calls allocatable and what the agent says of its registration, over a while."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.gpu.cluster import Cluster
from tests.gpu.record import Failed
from tests.gpu.smi import parse


@dataclass
class Timeline:
    """Watches, every 50 ms, what the API calls allocatable and whether the agent says that it is registered."""

    cluster: Cluster
    changes: list[tuple[float, str, str]] = field(default_factory=list)  # when (epoch), what, value

    def __enter__(self) -> Timeline:
        self._stop = threading.Event()
        self._address = str(self.cluster.agent()["status"]["podIP"])
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join(5)

    def _watch(self) -> None:
        last: dict[str, str] = {}
        while not self._stop.wait(0.05):
            for what, value in (("allocatable", self._allocatable()), ("registered", self._registered())):
                if last.get(what) != value:
                    last[what] = value
                    self.changes.append((time.time(), what, value))

    def _allocatable(self) -> str:
        try:
            return self.cluster.allocatable()
        except Failed:
            return "?"

    def _registered(self) -> str:
        page = self.cluster.page(self._address)
        if page is None:
            return "silent"
        return str(int(parse(page).get("gpuready_registered", [({}, 0.0)])[0][1]))

    def wait(self, what: str, value: str, after: float, patience: float = 60) -> float:
        """When `what` was first seen to be `value` at or after a time; at once when it is so still since before."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            known = [(at, found) for at, name, found in list(self.changes) if name == what]
            for position, (at, found) in enumerate(known):
                until = known[position + 1][0] if position + 1 < len(known) else time.time()
                if found == value and until > after:
                    return max(at, after)
            time.sleep(0.05)
        raise Failed(f"{what} has not become {value} within {patience:.0f} s: {self.shown(after)}")

    def shown(self, since: float) -> str:
        return "; ".join(f"{at - since:+.2f} s {what} {value}" for at, what, value in self.changes)
