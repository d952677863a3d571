"""What was done to a node's container runtime (`gpuready probe runtime`)."""

from __future__ import annotations

import msgspec


class Written(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One file, by the SHA-256 of its text before and after; empty: there was, or is, none."""

    path: str
    before: str
    after: str


class Entered(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A handler's entry put in or taken out."""

    node: str
    handler: str
    files: tuple[Written, ...] = ()
    left: tuple[str, ...] = ()  # files in which somebody has changed what is ours: they stay
    away: float | None = None  # seconds without an answer from the runtime; None: it was not restarted
    checked: bool = False  # the runtime's own program has read the files

    def __str__(self) -> str:
        wrote = [f.path for f in self.files if f.after]
        removed = [f.path for f in self.files if not f.after]
        words = [f"{verb} {', '.join(paths)}" for verb, paths in (("wrote", wrote), ("removed", removed)) if paths]
        done = "; ".join(words) or "nothing to write"
        back = f"; the runtime was away {self.away:.0f} s" if self.away is not None else ""
        stay = f"; left as somebody changed it since: {', '.join(self.left)}" if self.left else ""
        return f"{done}{back}{stay}"
