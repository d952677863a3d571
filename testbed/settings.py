"""What a testbed was asked to be; kept in its state folder so that any process can attach to it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from testbed.binaries import KUBERNETES, Binaries
from testbed.errors import TestbedError

FILE = "testbed.json"
DRIVER_ROOT = "/usr/local/nvidia"
MOST_NODES = 3
FOLDERS = ("init", "pids", "log", "kubeconfig", "etcd", "registry", "replay", "snapshots", "roots")


def cgroup_name(testbed: str, node: str) -> str:
    """The name of a node's cgroup in every hierarchy; known before it is made, so a crash leaves none unknown."""
    return f"gpuready-testbed-{testbed}-{node}"


@dataclass(frozen=True)
class NodeGpus:
    """Where a node's GPUs come from: nothing, a capture to replay, or the machine's own."""

    capture: str | None = None
    machine: bool = False
    driver_root: str = DRIVER_ROOT
    machine_driver: str = DRIVER_ROOT  # where the machine itself has the driver's user space


@dataclass(frozen=True)
class Settings:
    """What `up` was given. `status_every`: how often a kubelet reports its node, as a Kubernetes duration."""

    name: str
    state: Path
    binaries: Path
    nodes: int
    kubernetes: str = KUBERNETES
    status_every: str = "1s"
    gpus: Mapping[str, NodeGpus] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 1 <= self.nodes <= MOST_NODES:
            raise TestbedError(f"--nodes {self.nodes}: a testbed has 1 to {MOST_NODES} nodes")
        names = [f"node{number}" for number in range(1, self.nodes + 1)]
        for name in self.gpus:
            if name not in names:
                raise TestbedError(f"no node {name} in this testbed; its nodes: {', '.join(names)}")

    def files(self) -> Binaries:
        return Binaries(self.binaries, self.kubernetes)

    def cgroup(self, node: str) -> str:
        return cgroup_name(self.name, node)

    def replay(self, node: str) -> Path:
        """Where a node's replayed GPUs are laid out, if it has any."""
        return self.state / "replay" / node

    def save(self) -> None:
        data = {**asdict(self), "state": str(self.state), "binaries": str(self.binaries)}
        new = self.state / f"{FILE}.new"
        new.write_text(json.dumps(data, indent=1))
        new.rename(self.state / FILE)

    def with_gpus(self, node: str, gpus: NodeGpus) -> "Settings":
        return replace(self, gpus={**self.gpus, node: gpus})

    @classmethod
    def load(cls, state: Path) -> "Settings":
        """Read a state folder; TestbedError when it is none."""
        try:
            data = json.loads((state / FILE).read_text())
        except FileNotFoundError:
            raise TestbedError(f"no testbed in {state}; start one: python -m testbed up --nodes 2") from None
        gpus = {name: NodeGpus(**value) for name, value in data.pop("gpus").items()}
        return cls(**{**data, "state": Path(data["state"]), "binaries": Path(data["binaries"]), "gpus": gpus})
