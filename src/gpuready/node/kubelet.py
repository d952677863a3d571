"""Being registered with the kubelet, and staying so: serve, register, notice a restart of the kubelet, do it again."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from gpuready.node import plugin_server
from gpuready.node.log import say
from gpuready.node.plugin import Plugin
from gpuready.node.plugin_server import Observe, PluginError, Serving

LOOK_EVERY = 0.5  # seconds between looks at the two socket files; two stat calls
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between attempts
DRAIN_SECONDS = 10.0  # of the pod's 30; a kubelet on a busy node is slow to read
HEAR_SECONDS = 5.0  # for a kubelet that does not read our list to do so once more
FLUSH_SECONDS = 0.2  # the last message lies in the kernel's socket buffer by then, where closing does not take it away

Identity = tuple[int, int, int]


def socket_name(resource: str) -> str:
    """nvidia.com/gpu -> nvidia-gpu.sock, the name that NVIDIA's plugin uses."""
    return f"nvidia-{resource.rpartition('/')[2]}.sock"


def identity(path: Path) -> Identity | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


class Registration:
    """Keeps one plugin registered for as long as `run` runs."""

    def __init__(self, folder: Path, resource: str, plugin: Plugin, observe: Observe) -> None:
        self.count = 0
        self._accepted = False
        self._asked = False  # the kubelet was ever asked to know us
        self._kubelet = folder / "kubelet.sock"
        self._own = folder / socket_name(resource)
        self._resource = resource
        self._plugin = plugin
        self._observe = observe
        self._serving: Serving | None = None
        self._again = asyncio.Event()

    @property
    def registered(self) -> bool:
        """The kubelet has accepted the plugin and still reads its list."""
        return self._accepted and self._plugin.watched

    def renew(self) -> None:
        """Serve and register anew, as after a restart of the kubelet."""
        self._again.set()

    async def run(self) -> None:
        pause = FIRST_PAUSE
        while True:
            seen = identity(self._kubelet)
            try:
                await self._register()
            except (PluginError, OSError, TimeoutError) as error:
                say("not registered", resource=self._resource, why=error or type(error).__name__)
                await self._changed(seen, pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            await self._changed(seen, None)
            self._accepted = False
            say(
                "registering again",
                why="the kubelet was restarted" if identity(self._kubelet) != seen else "socket gone",
            )

    async def _register(self) -> None:
        if identity(self._kubelet) is None:
            raise PluginError(f"there is no {self._kubelet}", "waiting for the kubelet to start")
        await self._close()
        self._serving = await plugin_server.serve(self._own, self._plugin, self._observe)
        self._asked = True
        await plugin_server.register(self._kubelet, self._own.name, self._resource)
        self._accepted = True
        self.count += 1
        say("registered", resource=self._resource, devices=len(self._plugin.devices), times=self.count)

    async def _changed(self, seen: Identity | None, seconds: float | None) -> None:
        """Until the kubelet's socket is another one, ours is gone, renewal is asked for, or the time is over."""
        clock = asyncio.get_running_loop().time
        end = None if seconds is None else clock() + seconds
        while not self._again.is_set() and identity(self._kubelet) == seen and (end is None or clock() < end):
            if self._accepted and not (self._serving and self._serving.in_place()):
                return
            await asyncio.sleep(LOOK_EVERY)
        self._again.clear()

    async def _close(self) -> None:
        if self._serving:
            await self._serving.close()
            self._serving = None

    async def leave(self) -> None:
        """Stop serving. The kubelet is first told that there are no devices, so that capacity falls at once."""
        self._accepted = False
        self._plugin.publish(())
        if self._asked:
            delivered = await self._heard() and await self._plugin.drained(DRAIN_SECONDS)
            await asyncio.sleep(FLUSH_SECONDS)
            say("empty list sent" if delivered else "empty list not delivered")
        await self._close()

    async def _heard(self) -> bool:
        """Whether the kubelet reads our list. If the end comes while we register anew, it does not, and would count the
        devices of the stream before for five more minutes: then register once more, with the empty list."""
        if self._plugin.watched:
            return True
        try:
            async with asyncio.timeout(HEAR_SECONDS):
                await self._register()
                while not self._plugin.watched:
                    await asyncio.sleep(0.01)
        except (PluginError, OSError, TimeoutError) as error:
            say("the kubelet does not hear our end", why=error or type(error).__name__)
        return self._plugin.watched
