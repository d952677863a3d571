"""The agent's process and log on the node: when it started, what it uses, when it said what."""

from __future__ import annotations

import datetime
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed import cgroups
from testbed.process import arguments
from tests.gpu.cluster import NAMESPACE, Cluster
from tests.gpu.record import Failed
from tests.gpu.smi import parse

TICKS = os.sysconf("SC_CLK_TCK")


def agent_pid(cluster: Cluster) -> int:
    uid = cluster.agent()["metadata"]["uid"]
    for pid in sorted(cgroups.pod_members(cluster.testbed.settings.cgroup("node1"), uid)):
        if {"gpuready", "agent"} <= set(arguments(pid)):
            return pid
    raise Failed("no process of the agent is in its pod's cgroup")


def started_at(pid: int) -> float:
    """When the process was started, in seconds since the epoch, to 10 ms (proc(5): starttime, uptime)."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.time() - (float(Path("/proc/uptime").read_text().split()[0]) - ticks / TICKS)


def cpu_seconds(pid: int) -> float:
    """User and system time of all its threads so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid: int) -> dict[str, float]:
    """Resident memory now (VmRSS), at most so far (VmHWM), and its part that is its own (RssAnon)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in lines if line.endswith(" kB")}
    return {name: round(sizes[name], 1) for name in ("VmRSS", "VmHWM", "RssAnon")}


def said_at(cluster: Cluster, event: str, after: float = 0.0) -> float | None:
    """When the agent last wrote this event, by the runtime's clock to the nanosecond; None when it has not."""
    place = cluster.node.root / "var/log/pods"
    found = []
    for file in place.glob(f"{NAMESPACE}_gpuready-agent*/agent/*.log"):
        for line in file.read_text(errors="replace").splitlines():
            stamp, _, text = line.partition(" ")
            if f'"event": "{event}"' in text:
                found.append(seconds(stamp))
    late = [at for at in found if at > after]
    return late[-1] if late else None


def seconds(stamp: str) -> float:
    """2026-11-23T09:11:30.26855992Z in seconds since the epoch."""
    whole, _, part = stamp.rstrip("Z").partition(".")
    moment = datetime.datetime.strptime(whole, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.UTC)
    return moment.timestamp() + float(f"0.{part or 0}")


@dataclass
class Timeline:
    """Watches, every 50 ms, what the API calls allocatable and whether the agent says that it is registered."""

    cluster: Cluster
    changes: list[tuple[float, str, str]] = field(default_factory=list)  # when (epoch), what, value

    def __enter__(self) -> Timeline:
        self._stop = threading.Event()
        self._address = str(self.cluster.agent()["status"]["podIP"])
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self._stop.set()
        self._thread.join(5)

    def _watch(self) -> None:
        last: dict[str, str] = {}
        while not self._stop.wait(0.05):
            for what, value in (("allocatable", self._allocatable()), ("registered", self._registered())):
                if last.get(what) != value:
                    last[what] = value
                    self.changes.append((time.time(), what, value))

    def _allocatable(self) -> str:
        try:
            return self.cluster.allocatable()
        except Failed:
            return "?"

    def _registered(self) -> str:
        page = self.cluster.page(self._address)
        if page is None:
            return "silent"
        return str(int(parse(page).get("gpuready_registered", [({}, 0.0)])[0][1]))

    def wait(self, what: str, value: str, after: float, patience: float = 60) -> float:
        """When `what` was first seen to be `value` at or after a time; at once when it is so still since before."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            known = [(at, found) for at, name, found in list(self.changes) if name == what]
            for position, (at, found) in enumerate(known):
                until = known[position + 1][0] if position + 1 < len(known) else time.time()
                if found == value and until > after:
                    return max(at, after)
            time.sleep(0.05)
        raise Failed(f"{what} has not become {value} within {patience:.0f} s: {self.shown(after)}")

    def shown(self, since: float) -> str:
        return "; ".join(f"{at - since:+.2f} s {what} {value}" for at, what, value in self.changes)
