"""What decides touches nothing: a watch over the interpreter's audit events, and the imports of a source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Touched(BaseException):
    """Not an Exception: the judge's guard against crashing rules must not swallow it."""


watching = False
FORBIDDEN = ("open", "import", "os.", "socket.", "subprocess.", "shutil.", "ctypes.", "urllib.", "exec", "compile")


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if watching and event.startswith(FORBIDDEN):
        raise Touched(f"{event} {args}")


sys.addaudithook(_audit)  # a hook cannot be taken away again: it stays and watches only when told to


@contextmanager
def nothing_touched() -> Iterator[None]:
    global watching
    watching = True
    try:
        yield
    finally:
        watching = False


def imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
