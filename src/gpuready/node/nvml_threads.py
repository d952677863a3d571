"""NVML off the event loop: one thread that asks, one that waits for events. Neither may hold up the device plugin."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from gpuready.node.gpus import GpuEvent
from gpuready.node.nvml import Nvml, NvmlError

T = TypeVar("T")
CALL_SECONDS = 30.0
WAIT_MILLISECONDS = 1000
PAUSE_AFTER_ERROR = 5.0  # seconds; an error that lasts must not keep a core busy


class Asker:
    """Runs one NVML question at a time. A question that never returns makes later ones fail at once."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="nvml")
        self._turn = asyncio.Lock()
        self._stuck: asyncio.Future[Any] | None = None

    async def call(self, question: Callable[[], T]) -> T:
        async with self._turn:
            if self._stuck and not self._stuck.done():
                raise NvmlError("NVML does not return from an earlier call", "look at dmesg on the node")
            running = asyncio.get_running_loop().run_in_executor(self._pool, question)
            try:
                async with asyncio.timeout(CALL_SECONDS):
                    return await asyncio.shield(running)
            except TimeoutError as error:
                self._stuck = running
                raise NvmlError(
                    f"NVML has not answered for {CALL_SECONDS:.0f} s", "look at dmesg on the node"
                ) from error

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class EventThread:
    """Listens to the events of one opened NVML until stopped. Everything it has to tell is told on the event loop."""

    def __init__(
        self,
        nvml: Nvml,
        *,
        on_event: Callable[[GpuEvent], None],
        on_hearing: Callable[[dict[str, str]], None],
    ) -> None:
        self._nvml = nvml
        self._loop = asyncio.get_running_loop()
        self._on_event = on_event
        self._on_hearing = on_hearing
        self._stop = threading.Event()
        self._anew = threading.Event()
        self._thread = threading.Thread(target=self._run, name="nvml-events", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Returns once the thread has left NVML, or after it had time for it."""
        self._stop.set()
        self._thread.join(2 * WAIT_MILLISECONDS / 1000)

    def renew(self) -> None:
        """Register all GPUs again: one that could not be heard answers now."""
        self._anew.set()

    def _tell(self, call: Callable[[T], None], value: T) -> None:
        if not self._stop.is_set():
            self._loop.call_soon_threadsafe(call, value)

    def _run(self) -> None:
        """`on_hearing` gets, by UUID, why a GPU is not heard; under "" why none is."""
        while not self._stop.is_set():
            try:
                self._anew.clear()
                unheard = self._nvml.listen()
                self._one(WAIT_MILLISECONDS // 100)
                self._tell(self._on_hearing, unheard)
            except NvmlError as error:
                self._tell(self._on_hearing, {"": str(error)})
                self._stop.wait(PAUSE_AFTER_ERROR)
                continue
            self._until_error()

    def _until_error(self) -> None:
        """One lost GPU ends the wait for all; listening anew leaves it out, so the others are deaf only for moments."""
        try:
            while not self._stop.is_set() and not self._anew.is_set():
                self._one(WAIT_MILLISECONDS)
        except NvmlError:
            return

    def _one(self, milliseconds: int) -> None:
        event = self._nvml.wait(milliseconds)
        if event:
            self._tell(self._on_event, event)
