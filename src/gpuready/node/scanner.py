"""Reads the node: NVML (opened, reopened, closed as need be), device nodes, driver files. Never blocks the loop."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from gpuready.model.unknown import Unknown
from gpuready.node import driver_files
from gpuready.node.config import Config
from gpuready.node.gpus import Gpu, GpuEvent, Links, Sample
from gpuready.node.injection import DriverFiles, Injection, plan
from gpuready.node.judge import Scan
from gpuready.node.log import say
from gpuready.node.nvml import LIBRARY, Nvml, NvmlError, open_nvml
from gpuready.node.nvml_threads import Asker, EventThread

SAMPLE_FRESH = 1.0  # seconds for which a second scrape is given the same values


class Scanner:
    """`on_event` and `on_hearing` are called on the event loop."""

    def __init__(self, config: Config, on_event: Callable[[GpuEvent], None], on_hearing: Callable[[], None]) -> None:
        self._config = config
        self._on_event = on_event
        self._on_hearing = on_hearing
        self._asker = Asker()
        self._nvml: Nvml | None = None
        self._events: EventThread | None = None
        self._unheard: dict[str, str] = {}
        self._links: Links = {}
        self._samples: tuple[float, tuple[Sample, ...]] | None = None

    @property
    def is_open(self) -> bool:
        return self._nvml is not None

    @property
    def links(self) -> Links:
        """As they were when NVML was opened: a question costs time, and the board does not change."""
        return self._links

    async def read(self) -> Scan:
        """Raises NvmlError, after which NVML is closed and the next call opens it again."""
        try:
            return await self._read()
        except NvmlError:
            await self.close()
            raise

    async def _read(self) -> Scan:
        path = self._library()
        if self._nvml and (why := stale(self._nvml, path)):
            say("opening NVML anew", why=why)
            await self.close()
        if self._nvml is None:
            self._nvml = await self._asker.call(lambda: open_nvml(path, self._config.sys_dir))
        nvml = self._nvml
        snapshot = await self._asker.call(nvml.snapshot)
        if self._events is None:
            self._links = await self._asker.call(nvml.links)
            self._events = EventThread(nvml, on_event=self._on_event, on_hearing=self._hearing)
        vitals = await self._asker.call(nvml.vitals)
        if any(uuid in vitals and not vitals[uuid].error for uuid in self._unheard):
            self._events.renew()
        injection = self._injection(snapshot.gpus)
        return Scan(
            snapshot=snapshot, vitals=vitals, injection=injection, unheard=self._unheard, replayed=nvml.replayed
        )

    def _library(self) -> Path:
        """The real file of NVML, as seen here. Raises NvmlError when there is none."""
        config = self._config
        try:
            real = driver_files.resolve(f"{config.lib_dir}/{LIBRARY}", config.host_prefix, config.driver_root)
        except OSError as error:
            why = f"there is no {LIBRARY} in {config.lib_dir}: {error.filename or ''} {error.strerror or error}"
            raise NvmlError(why, "is the driver installed on the node, and is --lib-dir right?") from error
        return driver_files.visible(config.host_prefix, real)

    def _injection(self, gpus: Sequence[Gpu]) -> Injection:
        config = self._config
        found = driver_files.read(config.lib_dir, config.host_prefix, config.driver_root, config.nvidia_smi)
        if isinstance(found, DriverFiles) and found.unresolved:
            say("driver files left out", files=", ".join(f"{name} ({why})" for name, why in found.unresolved.items()))
        return plan(gpus, driver_files.device_nodes(config.dev_dir), found, platform.machine())

    def _hearing(self, unheard: dict[str, str]) -> None:
        if unheard != self._unheard:
            self._unheard = unheard
            self._on_hearing()

    async def samples(self) -> tuple[Sample, ...] | Unknown:
        if self._samples and time.monotonic() - self._samples[0] < SAMPLE_FRESH:
            return self._samples[1]
        if self._nvml is None:
            return Unknown("NVML is not open")
        try:
            read = await self._asker.call(self._nvml.samples)
        except NvmlError as error:
            return Unknown(str(error))
        self._samples = time.monotonic(), read
        return read

    async def close(self) -> None:
        nvml, events = self._nvml, self._events
        self._nvml = self._events = None
        if nvml is None:
            return
        try:
            await self._asker.call(lambda: leave(nvml, events))
        except NvmlError as error:
            say("NVML was not closed", why=error)


def stale(nvml: Nvml, path: Path) -> str:
    """Why an opened NVML must not be asked any more."""
    if not nvml.is_of(path):
        return f"the driver's library is another one: {path.name}"
    return "the kernel driver holds other GPUs than before" if nvml.gpus_appeared() else ""


def leave(nvml: Nvml, events: EventThread | None) -> None:
    if events:
        events.stop()
    nvml.close()
