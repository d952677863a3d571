"""A source that is not waited for longer than the reader can afford: one node that hangs must not cost the whole."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from gpuready.model.errors import Incomplete, UserError
from gpuready.model.ports import Source

T = TypeVar("T")
MORE = "try again with a larger --budget"


class Budgeted:
    """Implements ports.Source: each list, and all logs and answers of one pod, have `seconds`. What is late is refused,
    as if it could not be read; `tell` hears of each reading before it begins."""

    def __init__(self, source: Source, seconds: float, tell: Callable[[str], None]) -> None:
        self._source, self._seconds, self._tell = source, seconds, tell
        self._left: dict[str, float] = {}

    def pages(self, path: str, params: Mapping[str, str] | None = None) -> Iterator[bytes]:
        self._tell(path)
        pages = iter(self._source.pages(path, params))
        number = 0
        while True:
            try:
                page = self._within(f"{path} {params}", lambda: next(pages, None))
            except Late:
                raise Incomplete(f"{path}: {number} pages were read in {self._seconds:g} s, not all", MORE) from None
            if page is None:
                return
            number += 1
            yield page

    def logs(self, namespace: str, pod: str, *, container: str = "", previous: bool = False, tail: int = 0) -> str:
        what = f"log of pod/{namespace}/{pod}"
        return self._of_pod(
            what,
            f"{namespace}/{pod}",
            lambda: self._source.logs(namespace, pod, container=container, previous=previous, tail=tail),
        )

    def proxy_get(self, namespace: str, pod: str, port: int, path: str = "/") -> bytes:
        what = f"answer of pod/{namespace}/{pod} at {path}"
        return self._of_pod(what, f"{namespace}/{pod}", lambda: self._source.proxy_get(namespace, pod, port, path))

    def _of_pod(self, what: str, pod: str, ask: Callable[[], T]) -> T:
        self._tell(what)
        try:
            return self._within(pod, ask)
        except Late:
            raise UserError(f"{what}: not read within {self._seconds:g} s", MORE) from None

    def _within(self, key: str, ask: Callable[[], T]) -> T:
        """Asked in a thread of its own, which is left to itself when it is late: a blocked read cannot be ended."""
        left = self._left.get(key, self._seconds)
        if left <= 0:
            raise Late
        box: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
        began = time.monotonic()
        threading.Thread(target=_answer, args=(ask, box), daemon=True).start()
        try:
            well, value = box.get(timeout=left)
        except queue.Empty:
            raise Late from None
        finally:
            self._left[key] = left - (time.monotonic() - began)
        if not well:
            raise value
        answer: T = value
        return answer


class Late(Exception):
    pass


def _answer(ask: Callable[[], Any], box: queue.SimpleQueue[tuple[bool, Any]]) -> None:
    try:
        box.put((True, ask()))
    except BaseException as error:  # whatever it is, it is for the thread that waits
        box.put((False, error))
