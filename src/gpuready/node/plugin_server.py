"""The transport of the device plugin: gRPC over unix sockets with grpclib. Nothing else of the agent knows grpclib."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from grpclib import GRPCError, Status
from grpclib.client import Channel
from grpclib.exceptions import StreamTerminatedError
from grpclib.server import Server

from gpuready.model.errors import UserError
from gpuready.node.devices import AllocationError, Device
from gpuready.node.plugin import Grant, Plugin
from gpuready.node.rpc import deviceplugin_v1beta1_grpc as rpc
from gpuready.node.rpc import deviceplugin_v1beta1_pb2 as pb

API_VERSION = "v1beta1"
SELF_CHECK_SECONDS = 5.0
CLOSE_SECONDS = 1.0  # Python 3.12 waits for the clients to hang up, which the kubelet need not do
REGISTER_SECONDS = 15.0  # the kubelet dials back within the call, for up to 10 s
Stream = Any  # grpclib.server.Stream of the generated message types
Observe = Callable[[float], None]
P = ParamSpec("P")
T = TypeVar("T")


class PluginError(UserError):
    """The plugin's socket cannot be served, or the kubelet does not accept it."""


class Service(rpc.DevicePluginBase):
    def __init__(self, plugin: Plugin, observe: Observe) -> None:
        self._plugin = plugin
        self._observe = observe

    async def GetDevicePluginOptions(self, stream: Stream) -> None:  # noqa: N802
        await stream.recv_message()
        await stream.send_message(options())

    async def ListAndWatch(self, stream: Stream) -> None:  # noqa: N802
        await stream.recv_message()
        async with aclosing(self._plugin.watch()) as lists:
            async for devices in lists:
                await stream.send_message(device_list(devices))

    async def GetPreferredAllocation(self, stream: Stream) -> None:  # noqa: N802
        request = await stream.recv_message()
        answer = pb.PreferredAllocationResponse()
        for asked in request.container_requests:
            must, size = asked.must_include_deviceIDs, asked.allocation_size
            ids = refusing(self._plugin.prefer, asked.available_deviceIDs, must, size)
            answer.container_responses.add(deviceIDs=ids)
        await stream.send_message(answer)

    async def Allocate(self, stream: Stream) -> None:  # noqa: N802
        began = time.perf_counter()
        request = await stream.recv_message()
        answer = pb.AllocateResponse()
        for asked in request.container_requests:
            granted = refusing(self._plugin.allocate, asked.devices_ids)
            answer.container_responses.append(container_response(granted))
        await stream.send_message(answer)
        self._observe(time.perf_counter() - began)

    async def PreStartContainer(self, stream: Stream) -> None:  # noqa: N802
        await stream.recv_message()
        await stream.send_message(pb.PreStartContainerResponse())


def refusing(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return call(*args, **kwargs)
    except AllocationError as error:
        raise GRPCError(Status.INVALID_ARGUMENT, str(error)) from error


def options() -> pb.DevicePluginOptions:
    return pb.DevicePluginOptions(pre_start_required=False, get_preferred_allocation_available=True)


def device_list(devices: tuple[Device, ...]) -> pb.ListAndWatchResponse:
    answer = pb.ListAndWatchResponse()
    for device in devices:
        entry = answer.devices.add(ID=device.id, health="Healthy" if device.healthy else "Unhealthy")
        if device.numa is not None:
            entry.topology.nodes.add(ID=device.numa)
    return answer


def container_response(granted: Grant) -> pb.ContainerAllocateResponse:
    answer = pb.ContainerAllocateResponse(envs=dict(granted.env))
    for name in granted.cdi_devices:
        answer.cdi_devices.add(name=name)
    for path in granted.nodes:
        answer.devices.add(container_path=path, host_path=path, permissions="rw")
    for host, container in granted.mounts:
        answer.mounts.add(host_path=host, container_path=container, read_only=True)
    return answer


class Serving:
    """A listening socket of ours, until closed."""

    def __init__(self, path: Path, server: Server) -> None:
        self.path = path
        self._server = server
        self._inode = os.stat(path).st_ino

    def in_place(self) -> bool:
        """The socket file is still the one that was made here: a starting kubelet deletes it."""
        try:
            return os.stat(self.path).st_ino == self._inode
        except OSError:
            return False

    async def close(self) -> None:
        ours = self.in_place()
        self._server.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._server.wait_closed()
        if ours:
            self.path.unlink(missing_ok=True)


async def serve(path: Path, plugin: Plugin, observe: Observe) -> Serving:
    """Listen at `path` and prove by a call that it answers. A stale socket is replaced, a living one is not."""
    if await answers(path):
        raise PluginError(
            f"another process serves {path}", "one device plugin per resource: find and remove the other one"
        )
    path.unlink(missing_ok=True)
    server = Server([Service(plugin, observe)])
    await server.start(path=str(path))
    serving = Serving(path, server)
    try:
        os.chmod(path, 0o600)
        await self_check(path)
    except BaseException:
        await serving.close()
        raise
    return serving


async def answers(path: Path) -> bool:
    """Whether anybody listens at this socket."""
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_unix_connection(str(path))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def self_check(path: Path) -> None:
    async with Channel(path=str(path)) as channel:
        await rpc.DevicePluginStub(channel).GetDevicePluginOptions(pb.Empty(), timeout=SELF_CHECK_SECONDS)


async def register(kubelet_socket: Path, endpoint: str, resource: str) -> None:
    """Raises PluginError with the kubelet's words when it refuses or does not answer."""
    request = pb.RegisterRequest(version=API_VERSION, endpoint=endpoint, resource_name=resource, options=options())
    try:
        async with Channel(path=str(kubelet_socket)) as channel:
            await rpc.RegistrationStub(channel).Register(request, timeout=REGISTER_SECONDS)
    except GRPCError as error:
        raise PluginError(f"the kubelet refuses {resource}: {error.message}", "see the kubelet's log") from error
    except (OSError, TimeoutError, StreamTerminatedError) as error:
        raise PluginError(f"no kubelet answers at {kubelet_socket}: {error or type(error).__name__}") from error
