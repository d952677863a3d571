"""The least that a device plugin can be: one device, registered at once. What the agent's plugin is measured against.

usage: python bench/floor_plugin.py FOLDER     FOLDER: a kubelet's device-plugins, as this process sees it

Prints when it calls Register and when that is accepted (JSON, seconds since the epoch). Ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from grpclib.client import Channel
from grpclib.server import Server

from gpuready.node.rpc import deviceplugin_v1beta1_grpc as rpc
from gpuready.node.rpc import deviceplugin_v1beta1_pb2 as pb

RESOURCE = "bench.gpuready.dev/floor"
SOCKET = "bench-floor.sock"
DEVICE = "floor-0"


class Floor(rpc.DevicePluginBase):
    async def GetDevicePluginOptions(self, stream: Any) -> None:  # noqa: N802
        await stream.recv_message()
        await stream.send_message(pb.DevicePluginOptions())

    async def ListAndWatch(self, stream: Any) -> None:  # noqa: N802
        await stream.recv_message()
        answer = pb.ListAndWatchResponse()
        answer.devices.add(ID=DEVICE, health="Healthy")
        await stream.send_message(answer)
        await asyncio.Event().wait()

    async def GetPreferredAllocation(self, stream: Any) -> None:  # noqa: N802
        await stream.recv_message()
        await stream.send_message(pb.PreferredAllocationResponse())

    async def Allocate(self, stream: Any) -> None:  # noqa: N802
        await stream.recv_message()
        answer = pb.AllocateResponse()
        answer.container_responses.add()
        await stream.send_message(answer)

    async def PreStartContainer(self, stream: Any) -> None:  # noqa: N802
        await stream.recv_message()
        await stream.send_message(pb.PreStartContainerResponse())


async def main(folder: Path) -> None:
    own = folder / SOCKET
    own.unlink(missing_ok=True)
    server = Server([Floor()])
    await server.start(path=str(own))
    calls = time.time()
    async with Channel(path=str(folder / "kubelet.sock")) as channel:
        request = pb.RegisterRequest(version="v1beta1", endpoint=SOCKET, resource_name=RESOURCE)
        await rpc.RegistrationStub(channel).Register(request, timeout=15)
    print(json.dumps({"calls": calls, "accepted": time.time()}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    own.unlink(missing_ok=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
