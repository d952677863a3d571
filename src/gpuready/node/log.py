"""The agent's log: one JSON object a line on stdout, bounded in length, the same line at most once in a while."""

from __future__ import annotations

import json
import sys
import threading
import time
from datetime import UTC, datetime

LONGEST_VALUE = 500  # characters
REPEAT_AFTER = 300.0  # seconds until the very same line is written again
REMEMBERED = 256  # lines

_seen: dict[str, float] = {}
_lock = threading.Lock()


def timestamp() -> str:
    """RFC 3339, UTC, whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def say(event: str, **fields: object) -> None:
    body = {
        key: value if isinstance(value, bool | int | float) else str(value)[:LONGEST_VALUE]
        for key, value in fields.items()
    }
    line = json.dumps({"event": event, **body})
    now = time.monotonic()
    with _lock:
        if now - _seen.get(line, -REPEAT_AFTER) < REPEAT_AFTER:
            return
        if len(_seen) >= REMEMBERED:
            _seen.clear()
        _seen[line] = now
        sys.stdout.write(json.dumps({"time": timestamp(), "event": event, **body}) + "\n")
        sys.stdout.flush()
