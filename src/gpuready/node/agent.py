"""The node agent: reads the GPUs, keeps the device plugin registered, tells the Node and the metrics how they are."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

import msgspec

from gpuready import __version__
from gpuready.model.errors import UserError
from gpuready.node import cdi, faults, files, pages, podresources, sysfs
from gpuready.node.condition import changes, condition
from gpuready.node.config import Config
from gpuready.node.devices import advertised
from gpuready.node.gpus import GpuEvent
from gpuready.node.health import after_xid, policy
from gpuready.node.host import agent_facts
from gpuready.node.http import Answer, HttpServer, Page, address
from gpuready.node.injection import Injection
from gpuready.node.judge import View, blinded, judged
from gpuready.node.kubelet import Registration
from gpuready.node.labels import labels, mixed_models
from gpuready.node.log import say, timestamp
from gpuready.node.metrics import Histogram, Own
from gpuready.node.node_api import KubeNodeApi
from gpuready.node.node_writes import NodeWriter, event
from gpuready.node.nvml import NvmlError
from gpuready.node.pages import Sources
from gpuready.node.plugin import Plugin
from gpuready.node.scanner import Scanner

RESCAN = 60.0  # seconds while all is well: new GPUs, another driver, device nodes that went
RESCAN_IN_TROUBLE = 10.0  # while a GPU is not ok
REOPEN = 5.0  # while NVML cannot be opened


class Agent:
    def __init__(self, config: Config) -> None:
        self.config = config
        self.view = View()
        self.plugin = Plugin(by_cdi=config.injection == "cdi")
        self.allocations = Histogram()
        self.registration = Registration(config.plugin_dir, config.resource, self.plugin, self.allocations.observe)
        self.writer = NodeWriter(config.node, f"agent-{os.getpid()}", lambda: KubeNodeApi(config.node))
        self._scanner = Scanner(config, self._on_event, self._on_hearing)
        self._rules = policy(config.disable_health, config.enable_health)
        self._boot = faults.boot_id()
        self._left = faults.load(config.cdi_dir, self._boot)
        self._look = asyncio.Event()
        self._stop = asyncio.Event()
        self._started = int(time.time())

    async def scan(self) -> None:
        """One look at everything, and what follows from it."""
        try:
            read = await self._scanner.read()
        except NvmlError as error:
            say("NVML does not answer", why=error)
            self._become(blinded(self.view, str(error)))
            return
        self.plugin.links = self._scanner.links
        if why := self._write_cdi(read.injection):
            read = msgspec.structs.replace(read, injection=msgspec.structs.replace(read.injection, missing=why))
        self._become(judged(self.view, read, self._left, time.monotonic()))

    def _on_event(self, seen: GpuEvent) -> None:
        """An Xid of a GPU that the driver does not name counts for all of them."""
        concerned = [seen.uuid] if seen.uuid in self.view.health else list(self.view.health)
        say("GPU event", gpu=seen.uuid or "not named", xid=seen.xid)
        if seen.xid:
            now = time.monotonic()
            health = dict(self.view.health)
            for uuid in concerned:
                vitals = self.view.vitals.get(uuid)
                health[uuid] = after_xid(health[uuid], seen.xid, timestamp(), now, vitals, self._rules)
            self._become(msgspec.structs.replace(self.view, health=health))
        self._look.set()

    def _on_hearing(self) -> None:
        self._look.set()

    # what follows from a view

    def _become(self, view: View) -> None:
        before, self.view = self.view, view
        self.plugin.injection = view.injection
        devices = advertised(view.gpus, view.health)
        if self.plugin.publish(devices):
            well = sum(device.healthy for device in devices)
            say("devices", all=len(devices), healthy=well)
        for index, why in view.refused.items():
            say("GPU not advertised", index=index, why=why)
        self._tell_node(before)
        self._keep_faults()

    def _write_cdi(self, injection: Injection) -> str:
        """Why the runtime cannot be told of these devices; empty when it can, or need not be."""
        path = self.config.cdi_dir / cdi.FILE
        if self.config.injection != "cdi" or not injection.devices:
            return ""
        try:
            if files.replace(path, cdi.text(injection)):
                say("CDI file written", path=path, devices=len(injection.devices))
        except OSError as error:
            say("CDI file not written: no GPU is offered", path=path, why=error.strerror)
            return f"the CDI file {path} cannot be written: {error.strerror}"
        return ""

    def _keep_faults(self) -> None:
        try:
            faults.save(self.config.cdi_dir, self._boot, self.view.health)
        except OSError as error:
            say("faults cannot be kept over a restart", why=f"{self.config.cdi_dir}: {error.strerror}")

    def _tell_node(self, before: View) -> None:
        view = self.view
        if not self.config.node_writes:
            return
        for change in changes(before.health, view.health):
            well = change.state == "ok"
            note = f"{change.uuid} is {change.state}" + (f": {change.reason}" if change.reason else "")
            self.writer.send(event("GPUHealthy" if well else "GPUUnhealthy", note, warning=not well))
        machine = sysfs.product_name(self.config.sys_dir)
        stamp = self._started if self.config.timestamp else None
        wanted = labels(view.snapshot, machine, stamp) if view.snapshot and not view.blind else None
        if len(models := mixed_models(view.gpus)) > 1:
            say("labels describe one of several models", models=", ".join(models))
        self.writer.want(wanted, condition(view.gpus, view.health, view.undescribed(), view.blind))

    # running

    async def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._again)
        server = await self._serve_http()
        await self.scan()
        tasks = [loop.create_task(work) for work in (self._scans(), self.registration.run())]
        if self.config.node_writes:
            tasks.append(loop.create_task(self.writer.run()))
        stop = loop.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
        await self._end(server, [stop, *tasks])
        for task in done - {stop}:
            task.result()  # a defect in one of the loops: end with it, the pod is started again

    async def _end(self, server: asyncio.Server, tasks: list[asyncio.Task[object]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.registration.leave()
        server.close()
        self.writer.close()
        say("ended")

    def _again(self) -> None:
        self.registration.renew()
        self._look.set()

    async def _scans(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._look.wait()
            self._look.clear()
            await self.scan()

    def _pause(self) -> float:
        if not self._scanner.is_open:
            return REOPEN
        return RESCAN if all(entry.state == "ok" for entry in self.view.health.values()) else RESCAN_IN_TROUBLE

    async def _serve_http(self) -> asyncio.Server:
        host, port = address(self.config.listen)
        socket, resource = self.config.podresources_socket, self.config.resource
        sources = Sources(
            node=self.config.node,
            hostname_label=self.config.hostname_label,
            view=lambda: self.view,
            samples=self._scanner.samples,
            holders=lambda: podresources.holders(socket, resource),
            own=self._own,
            clock=time.monotonic,
            utc=timestamp,
            host=lambda: agent_facts(self.config, self.view, timestamp()),
        )
        made = {
            "/metrics": pages.metrics,
            "/health": pages.health,
            "/ready": pages.ready,
            "/gpus": pages.gpus,
            "/host": pages.host,
        }
        try:
            return await HttpServer({path: bound(page, sources) for path, page in made.items()}).start(host, port)
        except OSError as error:
            hint = "give another --listen, or find who listens there"
            raise UserError(f"cannot listen on {self.config.listen}: {error.strerror}", hint) from error

    def _own(self) -> Own:
        return Own(
            version=__version__,
            injection=self.config.injection,
            registered=self.registration.registered,
            registrations=self.registration.count,
            nvml_up=not self.view.blind,
            replayed=self.view.replayed,
            allocations=self.allocations.points(),
            api_errors=self.writer.errors,
        )


def bound(page: Callable[[Sources], Awaitable[Answer]], sources: Sources) -> Page:
    return lambda: page(sources)


def run(config: Config) -> NoReturn:
    """The whole life of the agent; does not return but raises UserError when it cannot begin.

    Ends with the process, not by returning: a thread that hangs in NVML must not keep a terminated pod alive.
    """
    say("starting", version=__version__, node=config.node, injection=config.injection)

    async def life() -> None:
        await Agent(config).run()

    asyncio.run(life())
    os._exit(0)
