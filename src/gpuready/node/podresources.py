"""Who holds which GPU, asked of the kubelet's PodResources socket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpclib import GRPCError
from grpclib.client import Channel
from grpclib.exceptions import StreamTerminatedError

from gpuready.model.facts.agent import Holder
from gpuready.model.unknown import Unknown
from gpuready.node.rpc import podresources_v1_grpc as rpc
from gpuready.node.rpc import podresources_v1_pb2 as pb

SECONDS = 10.0
Holders = dict[str, tuple[Holder, ...]]


async def holders(socket: Path, resource: str) -> Holders | Unknown:
    """UUID -> containers that hold it."""
    try:
        async with Channel(path=str(socket)) as channel:
            answer = await rpc.PodResourcesListerStub(channel).List(pb.ListPodResourcesRequest(), timeout=SECONDS)
    except GRPCError as error:
        return Unknown(f"{socket}: {error.message}")
    except (OSError, TimeoutError, StreamTerminatedError) as error:
        return Unknown(f"{socket}: {getattr(error, 'strerror', None) or error or type(error).__name__}")
    return by_device(answer, resource)


def by_device(answer: Any, resource: str) -> Holders:
    found: Holders = {}
    for pod in answer.pod_resources:
        for container in pod.containers:
            held = Holder(namespace=pod.namespace, pod=pod.name, container=container.name)
            for devices in container.devices:
                if devices.resource_name == resource:
                    for name in devices.device_ids:
                        _add(found, name.partition("::")[0], held)  # "::3" marks the third share of a GPU
    return found


def _add(found: Holders, uuid: str, held: Holder) -> None:
    if held not in found.get(uuid, ()):
        found[uuid] = (*found.get(uuid, ()), held)
