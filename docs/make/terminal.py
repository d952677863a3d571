"""A command on a terminal of its own: what it writes there, colours and all, and what a person then sees."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

COLUMNS, ROWS = 100, 60
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run(
    argv: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str], seconds: float = 300, columns: int = COLUMNS
) -> tuple[str, int]:
    """What the command wrote on its terminal, and its exit code (negative: the signal that ended it). TimeoutError."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    whole = {**env, "TERM": "xterm-256color", "COLUMNS": str(columns)}
    whole.pop("NO_COLOR", None)
    process = subprocess.Popen(
        argv, cwd=cwd, env=whole, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    try:
        written = _read(ours, time.monotonic() + seconds)
        return written.decode(errors="replace").replace("\r\n", "\n"), process.wait(timeout=10)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def _read(terminal: int, end: float) -> bytes:
    """All that comes until every process has closed the terminal."""
    chunks: list[bytes] = []
    while True:
        if not select.select([terminal], [], [], max(0.0, end - time.monotonic()))[0]:
            raise TimeoutError(f"the command did not end; it last said {b''.join(chunks)[-300:]!r}")
        try:
            chunk = os.read(terminal, 1 << 16)
        except OSError:  # EIO is Linux's end of file on a terminal that nobody holds any more
            return b"".join(chunks)
        chunks.append(chunk)


def settled(text: str) -> str:
    """The same with what was overwritten left out; colours stay."""
    lines = [line.rstrip("\r").rpartition("\r")[2].replace("\x1b[K", "") for line in text.split("\n")]
    return "\n".join(lines)


def plain(text: str) -> str:
    """What a person sees, without colours."""
    return "\n".join(line.rstrip() for line in ESCAPE.sub("", settled(text)).split("\n"))
