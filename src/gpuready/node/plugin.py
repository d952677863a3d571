"""The device plugin without its transport: the current list, who has seen it, and what a container is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import msgspec

from gpuready.node import cdi
from gpuready.node.devices import AllocationError, Device, preferred
from gpuready.node.gpus import Links
from gpuready.node.injection import Injection


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to one container's request: CDI names, or else nodes, mounts and variables."""

    cdi_devices: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()  # host path, container path; all read-only
    env: tuple[tuple[str, str], ...] = ()


def grant(ids: Sequence[str], devices: Sequence[Device], injection: Injection, by_cdi: bool) -> Grant:
    """What a container with these devices is given. Raises AllocationError for one that is not known or not healthy."""
    known = {device.id: device for device in devices}
    wanted = list(dict.fromkeys(ids))
    for name in wanted:
        if name not in known:
            raise AllocationError(f"unknown device {name[:100]}", "the kubelet asked for a GPU that this node has not")
        if not known[name].healthy or name not in injection.devices:
            raise AllocationError(f"device {name} is not healthy", "see the node's condition gpuready.dev/GPUHealthy")
    if by_cdi:
        return Grant(cdi_devices=tuple(cdi.qualified(name) for name in wanted))
    return Grant(
        nodes=(*injection.control, *(injection.devices[name] for name in wanted)),
        mounts=tuple((mount.host, mount.container) for mount in injection.mounts),
        env=injection.env,
    )


class Plugin:
    """One resource. Every stream gets the whole list first and again after each change."""

    def __init__(self, *, by_cdi: bool) -> None:
        self.by_cdi = by_cdi
        self.devices: tuple[Device, ...] = ()
        self.injection = Injection(control=(), devices={}, mounts=())
        self.links: Links = {}
        self._version = 0
        self._changed = asyncio.Event()
        self._delivered: dict[object, int] = {}

    @property
    def watched(self) -> bool:
        return bool(self._delivered)

    def publish(self, devices: tuple[Device, ...]) -> bool:
        """True when the list is another one than before."""
        if devices == self.devices:
            return False
        self.devices = devices
        self._version += 1
        self._changed.set()
        self._changed = asyncio.Event()
        return True

    async def watch(self) -> AsyncGenerator[tuple[Device, ...], None]:
        """The list now and after each change, without end; asking for the next one says that the last was sent."""
        me = object()
        self._delivered[me] = -1
        try:
            while True:
                version, changed = self._version, self._changed
                yield self.devices
                self._delivered[me] = version
                if version == self._version:
                    await changed.wait()
        finally:
            del self._delivered[me]

    async def drained(self, seconds: float) -> bool:
        """Wait until every stream has sent the current list; False when the time ran out."""
        clock = asyncio.get_running_loop().time
        end = clock() + seconds
        while any(version != self._version for version in self._delivered.values()):
            if clock() > end:
                return False
            await asyncio.sleep(0.01)
        return True

    def allocate(self, ids: Sequence[str]) -> Grant:
        return grant(ids, self.devices, self.injection, self.by_cdi)

    def prefer(self, available: Sequence[str], must: Sequence[str], size: int) -> tuple[str, ...]:
        return preferred(available, must, size, self.links)
