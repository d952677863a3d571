"""What the GPU run did and saw, a line of JSON each, written at once: a run that is cut off tells all the same."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

LONGEST = 2000  # characters of an error that are kept


class Failed(Exception):
    """What ought to be so is not; the message says what was seen."""


@dataclass
class Step:
    """One thing that was done. `said`: in one line what was seen; `result` is ok, failed or not run."""

    where: str
    name: str
    result: str = "ok"
    seconds: float = 0.0
    said: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.result == "ok"


@dataclass(frozen=True)
class Record:
    """A file of lines. `where` names the part of the run: the machine, or a driver root."""

    file: Path
    where: str

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Run the block as a step. An error in it is written down and not raised: what depends on it asks `ok`."""
        step = Step(self.where, name)
        began = time.monotonic()
        try:
            yield step
        except Failed as error:
            step.result, step.said = "failed", str(error)[:LONGEST]
        except Exception as error:  # whatever it is: the other steps go on
            step.result, step.said = "failed", f"{type(error).__name__}: {error}"[:LONGEST]
            step.evidence["traceback"] = traceback.format_exc()[-3 * LONGEST :]
        step.seconds = round(time.monotonic() - began, 2)
        print(f"{step.result:7} {step.seconds:7.2f} s  {self.where}: {name}: {step.said}", flush=True)
        self._write("step", asdict(step))

    def skip(self, name: str, why: str) -> None:
        self._write("step", asdict(Step(self.where, name, "not run", said=why)))
        print(f"not run            {self.where}: {name}: {why}", flush=True)

    def figure(self, name: str, value: float | str, unit: str = "", note: str = "") -> None:
        """A number that was measured."""
        self._write("figure", {"where": self.where, "name": name, "value": value, "unit": unit, "note": note})

    def compared(self, group: str, row: dict[str, Any]) -> None:
        """One value of ours beside NVIDIA's; `row` has ours, theirs, same and whatever the group shows besides."""
        self._write("compared", {"where": self.where, "group": group, **row})

    def _write(self, kind: str, data: dict[str, Any]) -> None:
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"kind": kind, **data}) + "\n")


def read(file: Path) -> dict[str, list[dict[str, Any]]]:
    """All lines by kind; a last line that was cut off is left out."""
    found: dict[str, list[dict[str, Any]]] = {"step": [], "figure": [], "compared": []}
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        try:
            data = json.loads(line)
        except ValueError:
            continue
        found[data.pop("kind")].append(data)
    return found
