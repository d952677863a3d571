"""What the agent is told on its command line and in its environment."""

from __future__ import annotations

from pathlib import Path

import msgspec


class Config(msgspec.Struct, frozen=True, kw_only=True):
    node: str  # the Node's name, spec.nodeName of the agent's pod
    lib_dir: str  # host path of the folder that holds libnvidia-ml.so.1 and libcuda.so.1
    host_prefix: str = "/host"  # host path P is visible here as /host + P; empty: the agent runs on the host itself
    driver_root: str = (
        "/"  # host path that absolute symlinks below it count from: "/run/nvidia/driver" for a driver container
    )
    nvidia_smi: str = ""  # host path; empty: not given to containers
    injection: str = "cdi"  # cdi | devices
    resource: str = "nvidia.com/gpu"
    listen: str = ":9400"
    kubelet_dir: Path = Path("/var/lib/kubelet")
    cdi_dir: Path = Path("/var/run/cdi")
    sys_dir: Path = Path("/sys")
    node_writes: bool = True
    hostname_label: str = "Hostname"
    timestamp: bool = True
    disable_health: str = ""  # DP_DISABLE_HEALTHCHECKS
    enable_health: str = ""  # DP_ENABLE_HEALTHCHECKS

    @property
    def plugin_dir(self) -> Path:
        return self.kubelet_dir / "device-plugins"

    @property
    def podresources_socket(self) -> Path:
        return self.kubelet_dir / "pod-resources/kubelet.sock"

    @property
    def dev_dir(self) -> Path:
        """The node's /dev: mounted with the host's paths, else our own, which in a privileged container is like it."""
        mounted = Path(self.host_prefix or "/") / "dev"
        return mounted if mounted.is_dir() else Path("/dev")
