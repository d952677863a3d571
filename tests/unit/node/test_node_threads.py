"""NVML in trouble: it hangs, it fails for ever, it fails for one GPU. The event loop and the core stay free."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from gpuready.node import nvml_threads
from gpuready.node.gpus import GpuEvent
from gpuready.node.nvml import NvmlError
from gpuready.node.nvml_threads import Asker, EventThread

EVENT = GpuEvent(uuid="GPU-1", xid=79)


class FakeNvml:
    """Answers `listen` and `wait` from a script; the last entry repeats for ever."""

    def __init__(self, listens: list[Any], waits: list[Any]) -> None:
        self.listens, self.waits = listens, waits
        self.asked: list[str] = []

    def listen(self) -> dict[str, str]:
        return self._next("listen", self.listens)

    def wait(self, milliseconds: int) -> GpuEvent | None:
        answer = self._next("wait", self.waits)
        if answer is None:
            time.sleep(min(milliseconds, 5) / 1000)
        return answer

    def _next(self, name: str, script: list[Any]) -> Any:
        self.asked.append(name)
        answer = script[0] if len(script) == 1 else script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def hear(nvml: FakeNvml, seconds: float = 0.3, then: Callable[[EventThread], None] | None = None) -> list[Any]:
    """What the thread told the event loop, in order."""
    told: list[Any] = []

    async def main() -> None:
        thread = EventThread(nvml, on_event=told.append, on_hearing=told.append)  # type: ignore[arg-type]
        await asyncio.sleep(seconds / 2)
        if then:
            then(thread)
        await asyncio.sleep(seconds / 2)
        await asyncio.to_thread(thread.stop)

    asyncio.run(main())
    return told


def test_events_reach_the_loop() -> None:
    assert hear(FakeNvml([{}], [None, EVENT, None])) == [{}, EVENT]


def test_an_error_that_lasts_is_told_and_does_not_keep_a_core_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml_threads, "PAUSE_AFTER_ERROR", 0.1)
    nvml = FakeNvml([{}], [NvmlError("broken")])
    told = hear(nvml, 0.35)
    assert told == [{"": "broken"}] * len(told)
    assert 1 <= nvml.asked.count("listen") <= 5
    monkeypatch.setattr(nvml_threads, "PAUSE_AFTER_ERROR", 5.0)
    nvml = FakeNvml([NvmlError("no event set")], [None])
    began = time.monotonic()
    assert hear(nvml, 0.1) == [{"": "no event set"}]
    assert time.monotonic() - began < 2, "stopping does not wait for the pause"


def test_a_wait_that_a_lost_gpu_ends_does_not_make_the_others_unknown() -> None:
    nvml = FakeNvml([{}, {"GPU-3": "lost"}], [None, None, NvmlError("GPU is lost"), None, EVENT, None])
    assert hear(nvml) == [{}, {"GPU-3": "lost"}, EVENT]


def test_listening_is_renewed_on_request() -> None:
    nvml = FakeNvml([{"GPU-3": "lost"}, {}], [None])
    assert hear(nvml, then=lambda thread: thread.renew()) == [{"GPU-3": "lost"}, {}]


def test_a_question_that_never_returns_fails_and_later_ones_fail_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml_threads, "CALL_SECONDS", 0.1)
    release = threading.Event()

    async def main() -> list[str]:
        asker = Asker()
        assert await asker.call(lambda: 7) == 7
        told = []
        for _ in range(3):
            try:
                await asker.call(lambda: release.wait(10))
            except NvmlError as error:
                told.append(error.what)
        release.set()
        await asyncio.sleep(0.05)
        told.append(str(await asker.call(lambda: 8)))
        asker.close()
        return told

    began = time.monotonic()
    assert asyncio.run(main()) == [
        "NVML has not answered for 0 s",
        "NVML does not return from an earlier call",
        "NVML does not return from an earlier call",
        "8",
    ]
    assert time.monotonic() - began < 5
