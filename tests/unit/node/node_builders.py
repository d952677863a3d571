"""GPUs, views and replayed nodes for the tests of the agent."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpuready.model.unknown import Unknown
from gpuready.node.gpus import Gpu, Snapshot
from gpuready.node.health import Health
from gpuready.node.injection import Injection, Mount

CAPTURES = Path(__file__).parents[3] / "testbed" / "captures"


def uuid(index: int) -> str:
    return f"GPU-{index:08x}-0000-0000-0000-000000000000"


def gpu(index: int = 0, **changes: Any) -> Gpu:
    """An H100 of an HGX board."""
    values: dict[str, Any] = {
        "index": index,
        "uuid": uuid(index),
        "minor": index,
        "name": "NVIDIA H100 80GB HBM3",
        "memory_mib": 81559,
        "pci": f"00000000:{0x1B + index:02X}:00.0",
        "compute": (9, 0),
        "mig": False,
        "vgpu": False,
        "clique": None,
        "numa": 0,
        "pci_class": "030200",
    }
    return Gpu(**(values | changes))


def t4(index: int = 0, **changes: Any) -> Gpu:
    told = {"name": "Tesla T4", "memory_mib": 15360, "compute": (7, 5), "mig": None, "numa": None}
    return gpu(index, **(told | changes))


def snapshot(*gpus: Gpu, driver: str | Unknown = "580.65.06", cuda: str | Unknown = "13.0") -> Snapshot:
    return Snapshot(driver=driver, cuda=cuda, gpus=gpus)


def well(*gpus: Gpu) -> dict[str, Health]:
    return {one.uuid: Health() for one in gpus}


def injection(*gpus: Gpu, missing: str = "") -> Injection:
    return Injection(
        control=("/dev/nvidiactl", "/dev/nvidia-uvm"),
        devices={one.uuid: f"/dev/nvidia{one.minor}" for one in gpus},
        mounts=(Mount("/drv/libcuda.so.580.65.06", "/usr/lib64/libcuda.so.1"),),
        missing=missing,
    )


@dataclass(frozen=True)
class NodeFolders:
    """What an agent under test takes for its node. Paths are short: a unix socket's may have 107 bytes."""

    host: Path
    kubelet: Path
    cdi: Path
    sys: Path
    replayed: Any  # testbed.replay.ReplayedNode

    @property
    def plugins(self) -> Path:
        return self.kubelet / "device-plugins"

    def arguments(self, port: int, *more: str) -> list[str]:
        return [
            *("--node-name", "node-1", "--lib-dir", "/driver/lib64", "--nvidia-smi", "/driver/bin/nvidia-smi"),
            *("--host-prefix", str(self.host), "--kubelet-dir", str(self.kubelet), "--cdi-dir", str(self.cdi)),
            *("--sys-dir", str(self.sys), "--listen", f"127.0.0.1:{port}", "--no-node-writes", *more),
        ]


def node_folders(root: Path, capture: str) -> NodeFolders:
    """A node with the GPUs of this capture: driver under /driver, device nodes as empty files (only names are read)."""
    from testbed.replay import materialise

    host = root / "host"
    replayed = materialise(CAPTURES / f"{capture}.json", host)
    (host / "dev").mkdir()
    for node in replayed.device_nodes:
        path = host / "dev" / node.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    sys = root / "sys"
    (sys / "bus/pci/drivers/nvidia").mkdir(parents=True)
    (sys / "bus/pci/devices").symlink_to(replayed.sys_pci)
    (sys / "class/dmi/id").mkdir(parents=True)
    (sys / "class/dmi/id/product_name").write_text("Test Machine\n")
    for folder in ("kubelet/device-plugins", "kubelet/pod-resources", "cdi"):
        os.makedirs(root / folder)
    return NodeFolders(host=host, kubelet=root / "kubelet", cdi=root / "cdi", sys=sys, replayed=replayed)
