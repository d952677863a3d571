"""A node: its namespaces, its containerd and its kubelet."""

import http.client
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed import cgroups, network, nodeconfig, pki, replay
from testbed.controlplane import ControlPlane
from testbed.errors import TestbedError
from testbed.gpus import node_mounts
from testbed.settings import NodeGpus, Settings
from testbed.space import Space, network_of, wait_for

PLUGINS = "var/lib/kubelet/device-plugins"
# As systemd keeps it (Restart=always): started again a second after it has ended. When the keeper is killed the kernel
# kills containerd with it.
KEPT = ("/bin/sh", "-c", 'while :; do setpriv --pdeathsig KILL "$@"; sleep 1; done', "sh")


@dataclass(frozen=True)
class Node:
    """One node of a testbed, by name (node1 is the first)."""

    settings: Settings
    name: str

    @property
    def number(self) -> int:
        return int(self.name.removeprefix("node"))

    @property
    def space(self) -> Space:
        return Space(self.settings.state, self.name)

    @property
    def control(self) -> ControlPlane:
        return ControlPlane(self.settings)

    @property
    def address(self) -> str:
        return network.node_address(self.number)

    @property
    def root(self) -> Path:
        """The node's root folder as the machine sees it: read and write the node's own files through it."""
        return Path(f"/proc/{self.space.pid()}/root")

    @property
    def upper(self) -> Path:
        """The folder, below `root`, where the node's overlay keeps what was written on it."""
        return self.root / str(self.settings.state).lstrip("/") / "roots" / self.name / "upper"

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a command in the node's namespaces (working directory /); options as subprocess.run takes."""
        env = {**self.settings.files().environment(), **options.pop("env", {})}
        return subprocess.run([*self.space.enter(), *argv], env=env, **options)

    def create(self) -> None:
        """Namespaces, network and files; starts nothing."""
        cgroups.create(self.settings.cgroup(self.name))
        mounts = node_mounts(self.settings, self.name)
        self.space.create(self.name, node=mounts, outer=self.control.space)
        network.connect_node(self.control.space, self.space, self.number, self.settings.files().environment())
        self._write_files()
        if self.settings.gpus.get(self.name, NodeGpus()).driver_root == "/":
            self.run(["ldconfig"], check=True)

    def replayed(self) -> replay.ReplayedNode:
        """The GPUs that this node replays, to read them and to change their answers; TestbedError when it has none."""
        if not self.settings.replay(self.name).exists():
            raise TestbedError(f"{self.name} replays no GPUs; give it a capture: up --replay {self.name}=CAPTURE")
        return replay.attach(self.settings.replay(self.name))

    def destroy(self) -> None:
        """As if the machine had lost power: everything on it dies, what it wrote is gone."""
        self.space.destroy()
        cgroups.remove(self.settings.cgroup(self.name))
        if self.settings.replay(self.name).exists():
            shutil.rmtree(self.settings.replay(self.name))

    def power_off(self) -> None:
        """Destroy the node; its Node object stays, as on a real cluster."""
        self.destroy()
        network.disconnect_node(self.control.space, self.number, self.settings.files().environment())

    def power_on(self, gpus: NodeGpus | None = None) -> "Node":
        """A fresh node under the same name, with other GPUs if given; returns it when it is Ready."""
        settings = self.settings if gpus is None else self.settings.with_gpus(self.name, gpus)
        settings.save()
        node = Node(settings, self.name)
        node.create()
        node.start_containerd()
        node.start_kubelet()
        node.wait_ready()
        return node

    def _write_files(self) -> None:
        for name, text in nodeconfig.files(self.settings, self.name, self.number).items():
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_text(text)
        pki.kubeconfig(self.settings.state / "pki", f"client-{self.name}", self.root / "etc/kubernetes/kubelet.conf")

    def start_containerd(self) -> None:
        """Start containerd, and whoever starts it again when it ends; wait until it answers."""
        if self.space.process("containerd") is None:
            self.space.spawn("containerd", [*KEPT, "containerd"], self.settings.files().environment())
        for _ in wait_for(
            f"{self.name}: containerd answers; log: {self.settings.state}/log/{self.name}.containerd.log", 60
        ):
            if self._answers(self.root / nodeconfig.SOCKET.lstrip("/")):
                return
            if self.space.process("containerd") is None:
                raise TestbedError(f"{self.name}: containerd ended: {self.space.last_words('containerd')}")

    @staticmethod
    def _answers(path: Path) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            return connection.connect_ex(str(path)) == 0

    def stop_containerd(self) -> None:
        """SIGKILL; containers live on under their shims."""
        self.space.kill("containerd")

    def start_kubelet(self) -> None:
        """Start the kubelet and wait until it is healthy and takes registrations of device plugins."""
        if self.space.process("kubelet") is None:
            (self.root / PLUGINS / "kubelet.sock").unlink(missing_ok=True)
            flags = ["--kubeconfig=/etc/kubernetes/kubelet.conf", "--config=/var/lib/kubelet/config.yaml"]
            flags += [f"--hostname-override={self.name}", f"--node-ip={self.address}"]
            self.space.spawn("kubelet", ["kubelet", *flags], self.settings.files().environment())
        for _ in wait_for(
            f"{self.name}: the kubelet serves; log: {self.settings.state}/log/{self.name}.kubelet.log", 60
        ):
            if self._kubelet_healthy() and (self.root / PLUGINS / "kubelet.sock").exists():
                return
            if self.space.process("kubelet") is None:
                raise TestbedError(f"{self.name}: the kubelet ended: {self.space.last_words('kubelet')}")

    def _kubelet_healthy(self) -> bool:
        with network_of(self.space.pid()):
            connection = http.client.HTTPConnection("127.0.0.1", 10248, timeout=5)
            try:
                connection.request("GET", "/healthz")
                return connection.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False
            finally:
                connection.close()

    def stop_kubelet(self) -> None:
        """SIGKILL; pods live on."""
        self.space.kill("kubelet")

    def set_cable(self, *, plugged: bool) -> None:
        """Pull or plug the node's network cable."""
        network.set_cable(self.control.space, self.number, self.settings.files().environment(), plugged=plugged)

    def wait_ready(self, seconds: float = 90.0) -> None:
        """Until the API says that the node is Ready; TestbedError after `seconds`."""
        for _ in wait_for(f"{self.name} Ready; log: {self.settings.state}/log/{self.name}.kubelet.log", seconds):
            if self._ready(self.control.object(f"/api/v1/nodes/{self.name}")):
                return

    @staticmethod
    def _ready(node: Mapping[str, Any] | None) -> bool:
        conditions = node["status"].get("conditions", []) if node else []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
