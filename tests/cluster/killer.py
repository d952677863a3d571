"""Runs gpuready and kills it with SIGKILL at the Nth point of its journal: after intent, act, receipt and wait.

usage: killer.py N LIST -- ARGUMENTS   N: 0 kills never, a point's name kills there; LIST: file that the names of the
points passed are written to
KILLER_SIGNAL=SIGSTOP in the environment stops the process there instead.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from gpuready.adapters.journal import ClusterJournal
from gpuready.adapters.lock import Lock
from gpuready.model.journal import End, Intent, Receipt, Waited


class Points:
    """Counts the points passed; at the fatal one the process is gone, as if the power had failed."""

    def __init__(self, fatal: str, log: str) -> None:
        self.fatal, self.log, self.passed = fatal, log, 0

    def at(self, name: str) -> None:
        self.passed += 1
        with open(self.log, "a") as file:
            file.write(f"{name}\n")
        if self.fatal in (str(self.passed), name):
            os.kill(os.getpid(), signal.Signals[os.environ.get("KILLER_SIGNAL", "SIGKILL")])


def arm(points: Points) -> None:
    append = ClusterJournal.append

    def journalled(journal: ClusterJournal, entry: Any) -> None:
        if isinstance(entry, Receipt):
            points.at(f"act {entry.step}")  # the act is done, its receipt is not written
        append(journal, entry)
        kinds = {Intent: "intent", Receipt: "receipt", Waited: "waited", End: "end"}
        points.at(f"{kinds.get(type(entry), 'planned')} {getattr(entry, 'step', '')}".strip())

    ClusterJournal.append = journalled  # type: ignore[method-assign]
    _after(ClusterJournal, "_write_note", points, _noted)
    _after(ClusterJournal, "_create_chunk", points, lambda _: "journal secret")
    _after(Lock, "acquire", points, lambda _: "lock")
    _after(Lock, "release", points, lambda _: "lock released")


def _noted(journal: ClusterJournal) -> str:
    return "end on disk" if isinstance(journal.entries()[-1], End) else "note on disk"


def _after(owner: type, method: str, points: Points, name: Callable[[Any], str]) -> None:
    original: Callable[..., Any] = getattr(owner, method)

    def then(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        points.at(name(self))
        return result

    setattr(owner, method, then)


if __name__ == "__main__":
    fatal, log, _, *arguments = sys.argv[1:]
    arm(Points(fatal, log))
    from gpuready.cli.main import main

    main(arguments)
