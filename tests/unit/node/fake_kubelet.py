"""The kubelet's half of the device plugin API over real sockets: it serves Registration and calls the plugin back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.exceptions import StreamTerminatedError
from grpclib.server import Server

from gpuready.node.rpc import deviceplugin_v1beta1_grpc as rpc
from gpuready.node.rpc import deviceplugin_v1beta1_pb2 as pb
from gpuready.node.rpc import podresources_v1_grpc, podresources_v1_pb2

Listed = tuple[tuple[str, str, int | None], ...]  # id, health, NUMA node


def listed(answer: Any) -> Listed:
    return tuple(
        (device.ID, device.health, device.topology.nodes[0].ID if device.HasField("topology") else None)
        for device in answer.devices
    )


class FakeKubelet(rpc.RegistrationBase):
    """Starts as the kubelet does: clears the folder, then listens. `refuse` is the error of its next Register."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refuse = ""
        self.requests: list[tuple[str, str, str, bool, bool]] = []
        self.registered_at: list[float] = []  # monotonic
        self.lists: list[Listed] = []
        self._server: Server | None = None
        self._watching: list[asyncio.Task[None]] = []
        self._channels: list[Channel] = []

    async def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.iterdir():
            if not old.is_dir():
                old.unlink()
        self._server = Server([self])
        await self._server.start(path=str(self.folder / "kubelet.sock"))

    async def stop(self) -> None:
        """Hang up. The plugin's streams end, as when the kubelet's process ends."""
        for channel in self._channels:
            channel.close()
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        self._watching, self._channels = [], []
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def Register(self, stream: Any) -> None:  # noqa: N802
        """Dials back before it answers: a plugin that does not serve yet is refused."""
        asked = await stream.recv_message()
        options = asked.options
        flags = options.get_preferred_allocation_available, options.pre_start_required
        self.requests.append((asked.version, asked.endpoint, asked.resource_name, *flags))
        if self.refuse:
            raise GRPCError(Status.UNKNOWN, self.refuse)
        channel = Channel(path=str(self.folder / asked.endpoint))
        await rpc.DevicePluginStub(channel).GetDevicePluginOptions(pb.Empty(), timeout=5)
        self._channels.append(channel)
        self._watching.append(asyncio.get_running_loop().create_task(self._watch(channel)))
        self.registered_at.append(time.monotonic())
        await stream.send_message(pb.Empty())

    async def _watch(self, channel: Channel) -> None:
        try:
            async with rpc.DevicePluginStub(channel).ListAndWatch.open() as stream:
                await stream.send_message(pb.Empty(), end=True)
                async for answer in stream:
                    self.lists.append(listed(answer))
        except (GRPCError, StreamTerminatedError, OSError):
            self.lists.append((("stream ended", "", None),))

    @property
    def plugin(self) -> rpc.DevicePluginStub:
        return rpc.DevicePluginStub(self._channels[-1])

    async def allocate(self, *containers: list[str]) -> Any:
        requests = [pb.ContainerAllocateRequest(devices_ids=ids) for ids in containers]
        return await self.plugin.Allocate(pb.AllocateRequest(container_requests=requests), timeout=5)

    async def prefer(self, available: list[str], must: list[str], size: int) -> list[str]:
        request = pb.ContainerPreferredAllocationRequest(
            available_deviceIDs=available, must_include_deviceIDs=must, allocation_size=size
        )
        answer = await self.plugin.GetPreferredAllocation(
            pb.PreferredAllocationRequest(container_requests=[request]), timeout=5
        )
        return list(answer.container_responses[0].deviceIDs)


async def until(what: str, condition: Any, seconds: float = 10.0) -> None:
    """Wait for a condition that another task brings about."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        await asyncio.sleep(0.01)


class FakePodResources(podresources_v1_grpc.PodResourcesListerBase):
    """`held` lists namespace, pod, container, resource, device ids."""

    def __init__(self, held: list[tuple[str, str, str, str, list[str]]]) -> None:
        self.held = held

    async def List(self, stream: Any) -> None:  # noqa: N802
        await stream.recv_message()
        answer = podresources_v1_pb2.ListPodResourcesResponse()
        for namespace, pod, container, resource, ids in self.held:
            entry = answer.pod_resources.add(name=pod, namespace=namespace).containers.add(name=container)
            entry.devices.add(resource_name=resource, device_ids=ids)
        await stream.send_message(answer)

    async def start(self, path: Path) -> Server:
        server = Server([self])
        await server.start(path=str(path))
        return server
