"""The one way in which figures are printed: a line each with its ratio to the floor that was measured beside it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """`floor` is in the same unit; `of` names it in the table. `note`: what a reader must know beside the number."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    of: str = ""
    note: str = ""

    def text(self, width: int) -> str:
        ratio = f"{self.value / self.floor:6.1f} x {self.of}" if self.floor else ""
        line = f"{self.name:{width}} {_number(self.value):>7} {self.unit:4} {ratio}"
        return f"{line}; {self.note}" if self.note and ratio else f"{line}{self.note}".rstrip()


def _number(value: float) -> str:
    return f"{value:.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def machine() -> str:
    """What the figures depend on: processors, Python, and what else ran (load averages of 1, 5 and 15 minutes)."""
    load = " ".join(f"{part:.2f}" for part in os.getloadavg())
    return f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, load {load}"


def show(about: Sequence[str], rows: Sequence[Row], file: Path | None) -> None:
    """Print the table; with a file, write the same as JSON."""
    print("\n".join(about))
    width = max(len(row.name) for row in rows)
    print("\n".join(row.text(width) for row in rows))
    if file:
        file.write_text(json.dumps({"about": list(about), "rows": [asdict(row) for row in rows]}, indent=1) + "\n")
