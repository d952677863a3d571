"""The agent on a node of the testbed: its pod, its processes and what they use, what it said when, what it answers."""

from __future__ import annotations

import asyncio
import datetime
import math
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from grpclib.client import Channel

from gpuready.components.native_agent.component import KUBELET
from gpuready.model.names import AGENT, NAMESPACE
from gpuready.node.kubelet import socket_name
from gpuready.node.rpc import deviceplugin_v1beta1_grpc as rpc
from gpuready.node.rpc import deviceplugin_v1beta1_pb2 as pb
from testbed import Node, Testbed, TestbedError, cgroups
from testbed.process import arguments, namespace

Json = dict[str, Any]
RESOURCE = "nvidia.com/gpu"
METRICS_PORT = 9400
TICKS = os.sysconf("SC_CLK_TCK")
SOCKETS = f"{KUBELET}/device-plugins"


def agent_pod(testbed: Testbed, node: str = "node1") -> Json:
    """The agent's pod on a node; TestbedError when there is none, or more than one that is not ending."""
    query = f"labelSelector=app.kubernetes.io/name%3D{AGENT}&fieldSelector=spec.nodeName%3D{node}"
    found = testbed.control.object(f"/api/v1/namespaces/{NAMESPACE}/pods?{query}") or {"items": []}
    pods = [pod for pod in found["items"] if not pod["metadata"].get("deletionTimestamp")]
    if len(pods) != 1:
        raise TestbedError(f"{len(pods)} agent pods are on {node}, 1 ought to be")
    return dict(pods[0])


def agent_pid(testbed: Testbed, node: str = "node1") -> int:
    """The agent's first process; TestbedError while there is none."""
    return agent_processes(testbed, node)[0]


def agent_processes(testbed: Testbed, node: str = "node1") -> list[int]:
    """Every process of the agent's container, its first one first; not the sandbox's."""
    uid = agent_pod(testbed, node)["metadata"]["uid"]
    pids = sorted(cgroups.pod_members(testbed.settings.cgroup(node), uid))
    first = next((pid for pid in pids if {"gpuready", "agent"} <= set(arguments(pid))), None)
    if first is None:
        raise TestbedError(f"no process of the agent is in its pod's cgroup on {node}")
    space = namespace(first, "pid")
    others = [pid for pid in pids if pid != first and namespace(pid, "pid") == space]
    return [first, *others]


def started_at(pid: int) -> float:
    """When the process was started, in seconds since the epoch, to 10 ms (proc(5): starttime, uptime)."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - (float(Path("/proc/uptime").read_text().split()[0]) - ticks / TICKS)


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid: int) -> dict[str, float]:
    """Resident memory now (VmRSS), at most so far (VmHWM), its part that is its own (RssAnon), and its share (Pss)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines() + _rollup(pid)
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.endswith(" kB")}
    return {name: round(sizes[name], 1) for name in ("VmRSS", "VmHWM", "RssAnon", "Pss")}


def _rollup(pid: int) -> list[str]:
    return [line for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:")]


def said_at(node: Node, event: str, after: float = 0.0) -> float | None:
    """When the agent last wrote this event, by the runtime's clock to the nanosecond; None when it has not."""
    found = []
    for file in (node.root / "var/log/pods").glob(f"{NAMESPACE}_{AGENT}*/agent/*.log"):
        for line in file.read_text(errors="replace").splitlines():
            stamp, _, text = line.partition(" ")
            if f'"event": "{event}"' in text:
                found.append(seconds(stamp))
    late = [at for at in found if at > after]
    return max(late, default=None)


def seconds(stamp: str) -> float:
    """2026-11-23T09:11:30.26855992Z in seconds since the epoch."""
    whole, _, part = stamp.rstrip("Z").partition(".")
    moment = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.UTC)
    return moment.timestamp() + float(f"0.{part or 0}")


def plugin_socket(node: Node, resource: str = RESOURCE) -> Path:
    """The device plugin's socket, by a path that this process can open."""
    return node.root / SOCKETS.lstrip("/") / socket_name(resource)


def allocate_seconds(sockets: Mapping[Path, str], calls: int) -> dict[Path, list[float]]:
    """How long a plugin takes to answer Allocate, from call to answer, in seconds and in order of time.

    `sockets`: of each plugin, with a device of it. One call after the other; several plugins take turns.
    """
    return asyncio.run(_allocate_seconds(sockets, calls))


async def _allocate_seconds(sockets: Mapping[Path, str], calls: int) -> dict[Path, list[float]]:
    taken: dict[Path, list[float]] = {path: [] for path in sockets}
    async with AsyncExitStack() as stack:
        asked = []
        for path, device in sockets.items():
            request = pb.AllocateRequest()
            request.container_requests.add(devices_ids=[device])
            stub = rpc.DevicePluginStub(await stack.enter_async_context(Channel(path=str(path))))
            asked.append((taken[path], stub, request))
        for _ in range(calls):
            for mine, stub, request in asked:
                began = time.perf_counter()
                await stub.Allocate(request)
                mine.append(time.perf_counter() - began)
    return taken


def percentile(values: Sequence[float], part: float) -> float:
    """The value that this part of them does not exceed (nearest rank)."""
    return sorted(values)[math.ceil(part * len(values)) - 1]
