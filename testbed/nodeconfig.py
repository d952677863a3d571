"""The files that make a machine a node: containerd's, CNI's and the kubelet's configuration, in the usual places."""

import json

from testbed import network
from testbed.controlplane import REGISTRY
from testbed.settings import Settings

SOCKET = "/run/containerd/containerd.sock"
PAUSE = f"{REGISTRY}/testbed/busybox:1"
# restrict_oom_score_adj: where oom_score_adj may not be lowered every sandbox fails, "can't get final child's PID".
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


def _kubelet(settings: Settings, name: str) -> str:
    """A KubeletConfiguration; cgroupRoot keeps kubelets on one machine apart, failCgroupV1 is for cgroup version 1."""
    config = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{settings.cgroup(name)}",
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
        "nodeStatusReportFrequency": "5m0s",  # without news; else the Node's resourceVersion would move every second
        "nodeStatusUpdateFrequency": settings.status_every,
        "resolvConf": "/etc/kubernetes/resolv.conf",
    }
    return json.dumps(config, indent=1)


def _cni(number: int) -> str:
    bridge = {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "ipam": {"type": "host-local", "subnet": network.pod_range(number), "routes": [{"dst": "0.0.0.0/0"}]},
    }
    return json.dumps({"cniVersion": "0.4.0", "name": "bridge", "plugins": [bridge]})


def files(settings: Settings, name: str, number: int) -> dict[str, str]:
    """Path on the node, without the leading /, and content."""
    return {
        "etc/containerd/config.toml": CONTAINERD,
        f"etc/containerd/certs.d/{REGISTRY}/hosts.toml": HOSTS,
        "etc/cni/net.d/10-bridge.conflist": _cni(number),
        "etc/kubernetes/pki/ca.crt": (settings.state / "pki" / "ca.crt").read_text(),
        "etc/kubernetes/resolv.conf": "nameserver 10.96.0.10\n",
        "etc/hostname": f"{name}\n",
        "etc/machine-id": f"{number:032x}\n",
        "var/lib/kubelet/config.yaml": _kubelet(settings, name),
    }
