"""A node: its namespaces, its containerd and its kubelet."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed import cgroups, network, pki
from testbed.controlplane import REGISTRY, ControlPlane
from testbed.errors import TestbedError
from testbed.gpus import node_mounts
from testbed.settings import NodeGpus, Settings
from testbed.space import Space, wait_for

SOCKET = "/run/containerd/containerd.sock"
PAUSE = f"{REGISTRY}/testbed/busybox:1"
CONTAINERD = f"""version = 3
imports = ["/etc/containerd/conf.d/*.toml"]
[plugins."io.containerd.cri.v1.images"]
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "/etc/containerd/certs.d"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{PAUSE}"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["/opt/cni/bin"]
    conf_dir = "/etc/cni/net.d"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
"""
HOSTS = f"""server = "http://{REGISTRY}"
[host."http://{REGISTRY}"]
  capabilities = ["pull", "resolve"]
"""


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

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a command in the node's namespaces (its /dev, /run, network, pids; working directory /); options as subprocess.run takes."""
        env = {**self.settings.files().environment(), **options.pop("env", {})}
        return subprocess.run([*self.space.enter(), *argv], env=env, **options)

    def create(self) -> None:
        """Namespaces, network and files; starts nothing."""
        cgroups.create(self.settings.cgroup(self.name))
        mounts = node_mounts(self.settings, self.name)
        self.space.create(self.name, node=mounts, outer=self.control.space)
        network.connect_node(self.control.space, self.space, self.number, self.settings.files().environment())
        self._write_files()

    def destroy(self) -> None:
        """As if the machine had lost power: everything on it dies, what it wrote is gone."""
        self.space.destroy()
        cgroups.remove(self.settings.cgroup(self.name))
        shutil.rmtree(self.settings.state / "replay" / self.name, ignore_errors=True)

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
        kubelet = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.settings.cgroup(self.name)}",
            "clusterDNS": ["10.96.0.10"],
            "clusterDomain": "cluster.local",
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "enforceNodeAllocatable": [],
            "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "50Mi"},
            "failCgroupV1": False,
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "makeIPTablesUtilChains": False,
            "maxPods": 60,
            "nodeStatusReportFrequency": "5m0s",  # a heartbeat without news would move the Node's resourceVersion every second
            "nodeStatusUpdateFrequency": self.settings.status_every,
            "resolvConf": "/etc/kubernetes/resolv.conf",
            "shutdownGracePeriod": "0s",
        }
        bridge = {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipMasq": False,
            "ipam": {"type": "host-local", "subnet": network.pod_range(self.number), "routes": [{"dst": "0.0.0.0/0"}]},
        }
        files = {
            "etc/containerd/config.toml": CONTAINERD,
            f"etc/containerd/certs.d/{REGISTRY}/hosts.toml": HOSTS,
            "etc/cni/net.d/10-bridge.conflist": json.dumps({"cniVersion": "0.4.0", "name": "bridge", "plugins": [bridge]}),
            "etc/kubernetes/pki/ca.crt": (self.settings.state / "pki" / "ca.crt").read_text(),
            "etc/kubernetes/resolv.conf": "nameserver 10.96.0.10\n",
            "etc/hostname": f"{self.name}\n",
            "etc/machine-id": f"{self.number:032x}\n",
            "var/lib/kubelet/config.yaml": json.dumps(kubelet, indent=1),
        }
        for name, text in files.items():
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_text(text)
        pki.kubeconfig(self.settings.state / "pki", f"client-{self.name}", self.root / "etc/kubernetes/kubelet.conf")

    def start_containerd(self) -> None:
        """Start containerd and wait until it answers."""
        if self.space.process("containerd") is None:
            self.space.spawn("containerd", ["containerd"], self.settings.files().environment())
        for _ in wait_for(f"{self.name}: containerd answers; log: {self.settings.state}/log/{self.name}.containerd.log", 60):
            if self.run(["ctr", "version"], capture_output=True).returncode == 0:
                return
            if self.space.process("containerd") is None:
                raise TestbedError(f"{self.name}: containerd ended: {self.space.last_words('containerd')}")

    def stop_containerd(self) -> None:
        """SIGKILL; containers live on under their shims."""
        self.space.kill("containerd")

    def start_kubelet(self) -> None:
        """Start the kubelet; `wait_ready` says when the node is Ready."""
        if self.space.process("kubelet") is not None:
            return
        flags = ["--kubeconfig=/etc/kubernetes/kubelet.conf", "--config=/var/lib/kubelet/config.yaml"]
        flags += [f"--hostname-override={self.name}", f"--node-ip={self.address}"]
        self.space.spawn("kubelet", ["kubelet", *flags], self.settings.files().environment())

    def stop_kubelet(self) -> None:
        """SIGKILL; pods live on."""
        self.space.kill("kubelet")

    def set_cable(self, *, plugged: bool) -> None:
        """Pull or plug the node's network cable."""
        network.set_cable(self.control.space, self.number, self.settings.files().environment(), plugged=plugged)

    def wait_ready(self, seconds: float = 90.0) -> None:
        """Until the API says that the node is Ready; TestbedError with the kubelet's last words."""
        for _ in wait_for(f"{self.name} Ready; log: {self.settings.state}/log/{self.name}.kubelet.log", seconds):
            if self._ready(self.control.object(f"/api/v1/nodes/{self.name}")):
                return
            if self.space.process("kubelet") is None:
                raise TestbedError(f"{self.name}: the kubelet ended: {self.space.last_words('kubelet')}")

    @staticmethod
    def _ready(node: Mapping[str, Any] | None) -> bool:
        conditions = node["status"].get("conditions", []) if node else []
        return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
