"""A testbed's state by name: every object of the API and every file written on the nodes, and the way back to it.

The way back edits etcd in one transaction under a running API server, whose watch caches see ordinary changes: objects
come back with the same UIDs and newer resource versions. Controllers, scheduler and kubelets are killed before it and
started after it, because they remember what has been undone (the garbage collector: absent owners; the kubelet: devices
of plugins that are gone).
"""

import base64
import http.client
import json
import pickle
import signal
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed import cgroups
from testbed.controlplane import ETCD, ControlPlane
from testbed.errors import TestbedError
from testbed.node import Node
from testbed.nodeconfig import SOCKET
from testbed.process import Process
from testbed.settings import Settings
from testbed.space import network_of
from testbed.written import Entry, put_back, written

PREFIX = "/registry/"
LIVE = tuple(  # kept alive by their owners through a restore
    PREFIX + name for name in ("masterleases/", "leases/kube-node-lease/", "leases/kube-system/apiserver-")
)
EVENTS = PREFIX + "events/"  # they have etcd leases: never written back, only removed

Keys = Mapping[str, str]  # key and value, both base64 as etcd's JSON gateway has them


@dataclass(frozen=True)
class Snapshot:
    """What is kept."""

    keys: Keys
    pods: frozenset[str]  # UIDs
    files: Mapping[str, Mapping[str, Entry]]


def _text(key: str) -> str:
    return base64.b64decode(key).decode(errors="replace")


def _encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@dataclass(frozen=True)
class Snapshots:
    """The snapshots of one testbed."""

    settings: Settings
    nodes: tuple[Node, ...]

    @property
    def control(self) -> ControlPlane:
        return ControlPlane(self.settings)

    def _file(self, name: str) -> Path:
        return self.settings.state / "snapshots" / f"{name}.pickle"

    def _etcd(self, verb: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """One call of etcd's v3 JSON gateway."""
        with network_of(self.control.space.pid()):
            connection = http.client.HTTPConnection(ETCD, timeout=60)
            try:
                connection.request(
                    "POST", f"/v3/kv/{verb}", body=json.dumps(body), headers={"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                data = answer.read()
            except OSError as error:
                raise TestbedError(f"etcd does not answer: {error}; see: python -m testbed status") from error
            finally:
                connection.close()
        if answer.status != 200:
            raise TestbedError(f"etcd refused {verb}: {answer.status} {data[:300]!r}")
        return dict(json.loads(data))

    def _keys(self) -> dict[str, str]:
        answer = self._etcd("range", {"key": _encode(PREFIX), "range_end": _encode("/registry0")})
        return {
            item["key"]: item.get("value", "")
            for item in answer.get("kvs", [])
            if not _text(item["key"]).startswith(LIVE)
        }

    def save(self, name: str) -> None:
        """Keep the state now under a name; an older one of that name is replaced."""
        files = {node.name: written(node.root, node.upper) for node in self.nodes}
        answer = self.control.object("/api/v1/pods")
        if answer is None:
            raise TestbedError(
                "the API server does not list pods, so this state cannot be kept; see: python -m testbed status"
            )
        pods = frozenset(str(pod["metadata"]["uid"]) for pod in answer["items"])
        with self._file(name).open("wb") as file:
            pickle.dump(Snapshot(self._keys(), pods, files), file)

    def restore(self, name: str) -> None:
        """Go back to a named state; returns when every kubelet serves again. TestbedError when there is no such."""
        if not self._file(name).exists():
            names = sorted(path.stem for path in self._file("x").parent.glob("*.pickle"))
            raise TestbedError(f"no snapshot {name}; there are: {', '.join(names) or 'none'}")
        with self._file(name).open("rb") as file:
            kept: Snapshot = pickle.load(file)
        for process in ("controllers", "scheduler"):
            self.control.stop(process)
        for node in self.nodes:
            node.stop_kubelet()
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: self._restore_node(node, kept), self.nodes))
            self._restore_keys(kept.keys)
            for process in ("controllers", "scheduler"):
                self.control.start(process)
            list(pool.map(Node.start_kubelet, self.nodes))

    def _restore_keys(self, kept: Keys) -> None:
        now = self._keys()
        changes: list[dict[str, Any]] = [{"requestDeleteRange": {"key": key}} for key in now if key not in kept]
        for key, value in kept.items():
            if now.get(key) != value and not _text(key).startswith(EVENTS):
                changes.append({"requestPut": {"key": key, "value": value}})
        if changes:
            self._etcd("txn", {"success": changes})

    def _restore_node(self, node: Node, kept: Snapshot) -> None:
        """Kill and remove pods that the snapshot does not know, then put the files back."""
        cgroup = self.settings.cgroup(node.name)
        for uid in cgroups.pods(cgroup) - kept.pods:
            for pid in cgroups.pod_members(cgroup, uid):
                if (process := Process.of(pid)) is not None:
                    process.send(signal.SIGKILL)
        done = node.run(["kube", "remove-pods", SOCKET, *sorted(kept.pods)], capture_output=True, text=True)
        if done.returncode != 0:
            raise TestbedError(
                f"{node.name}: pods of the time after the snapshot cannot be removed: {done.stderr.strip()}"
            )
        put_back(node.root, written(node.root, node.upper), kept.files[node.name])
