"""Files that others read while they are written: replaced whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def replace(path: Path, content: str, mode: int = 0o644) -> bool:
    """Write by temporary file and rename. Returns False, and touches nothing, when the content is there already."""
    data = content.encode()
    if _holds(path, data):
        return False
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return True


def _holds(path: Path, data: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(data) + 1) == data
    except OSError:
        return False
