"""A testbed: start it, attach to it, command it, end it."""

import datetime
import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from testbed import cgroups, images, network, pki
from testbed.binaries import KUBERNETES, SYSTEM_PATH, cache
from testbed.controlplane import REGISTRY, ControlPlane
from testbed.errors import TestbedError
from testbed.node import Node
from testbed.process import namespace
from testbed.settings import DRIVER_ROOT, FOLDERS, MOST_NODES, NodeGpus, Settings, cgroup_name
from testbed.snapshots import Snapshots
from testbed.space import Space, network_of, wait_for

STATE = "GPUREADY_TESTBED_STATE"  # the environment variable by which a command inside finds its testbed
BUSYBOX = f"{REGISTRY}/testbed/busybox:1"
_T = TypeVar("_T")


def state_folder(name: str) -> Path:
    """Where a testbed of this name keeps its state."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,30}", name):
        raise TestbedError(f"{name!r} is no name for a testbed: lower-case letters, digits and -, at most 31")
    return cache() / "run" / name


def destroy(name: str) -> bool:
    """End the testbed of this name and remove all of it, whatever state it is in, also what a crash has left.

    Everything is found by the name alone. False when there was nothing.
    """
    state = state_folder(name)
    if not state.exists():
        return False
    Space(state, "testbed").destroy()
    for number in range(1, MOST_NODES + 1):
        cgroups.remove(cgroup_name(name, f"node{number}"))
    shutil.rmtree(state)
    return True


def _silent(line: str) -> None:
    """Tell nobody."""


def _each(work: Callable[[_T], object], items: Iterable[_T]) -> None:
    """Do the same for several things at once; the first failure is raised when all have ended."""
    items = list(items)
    with ThreadPoolExecutor(max_workers=max(1, len(items))) as pool:
        list(pool.map(work, items))


@dataclass(frozen=True)
class Testbed:
    """A running testbed. All state is in its folder and in the kernel: any number of processes may hold one."""

    __test__ = False

    settings: Settings

    @classmethod
    def up(
        cls,
        nodes: int = 2,
        kubernetes: str = KUBERNETES,
        replay: Mapping[str, Path] | None = None,
        status_every: str = "1s",
        *,
        name: str = "default",
        binaries: Path | None = None,
        pki: Path | None = None,
        driver_root: str = DRIVER_ROOT,
        machine_gpus: Sequence[str] = (),
        say: Callable[[str], None] = _silent,
    ) -> "Testbed":
        """Start a testbed and return when its nodes are Ready.

        replay: node name to capture; machine_gpus: nodes that get the machine's own GPUs; driver_root: where such nodes
        have the driver. binaries, pki: folders made elsewhere (`python -m testbed build`, `pki`); without them they are
        made or found in the cache. say: told what takes long. TestbedError when anything does not come up; then nothing
        is left of it.
        """
        if os.geteuid() != 0:
            raise TestbedError("a testbed needs root: it makes namespaces, mounts and cgroups")
        gpus = {
            node: NodeGpus(capture=str(Path(capture).absolute()), driver_root=driver_root)
            for node, capture in (replay or {}).items()
        }
        gpus |= {node: NodeGpus(machine=True, driver_root=driver_root) for node in machine_gpus}
        folder = (binaries or cache()).absolute()
        settings = Settings(name, state_folder(name), folder, nodes, kubernetes, status_every, gpus)
        settings.files().build(say)
        testbed = cls(settings)
        testbed._claim()
        try:
            testbed._start(pki)
        except BaseException:
            testbed.down()
            raise
        return testbed

    @classmethod
    def attach(cls, state: Path | None = None) -> "Testbed":
        """The testbed that this process runs inside, by `python -m testbed exec`; TestbedError when there is none."""
        folder = state or (Path(os.environ[STATE]) if STATE in os.environ else None)
        if folder is None:
            raise TestbedError("not inside a testbed: python -m testbed up --nodes 2; python -m testbed exec -- CMD...")
        testbed = cls(Settings.load(folder))
        if namespace(os.getpid(), "net") != namespace(testbed.space.pid(), "net"):
            raise TestbedError(
                f"outside the network of testbed {testbed.settings.name}; run this by: python -m testbed exec -- CMD..."
            )
        return testbed

    @classmethod
    def find(cls, name: str = "default") -> "Testbed":
        """The testbed of this name, running or left over from a crash."""
        return cls(Settings.load(state_folder(name)))

    def _claim(self) -> None:
        """Make state folder and outer namespaces, after removing what a crashed testbed of this name has left."""
        state = self.settings.state
        state.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(state.parent, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if self.space.init() is not None:
                raise TestbedError(f"testbed {self.settings.name} runs already; end it: python -m testbed down")
            destroy(self.settings.name)
            try:
                for folder in FOLDERS:
                    (state / folder).mkdir(mode=0o700, parents=True)
                self.settings.save()
                self.space.create("testbed")
            except BaseException:  # also the end of this process
                destroy(self.settings.name)
                raise
        finally:
            os.close(lock)

    def _start(self, ready_pki: Path | None) -> None:
        state, control = self.settings.state, self.control
        if ready_pki is None:
            pki.create(state / "pki")
        else:
            shutil.copytree(ready_pki, state / "pki")
        for component in ("admin", "controller-manager", "scheduler"):
            pki.kubeconfig(state / "pki", f"client-{component}", state / "kubeconfig" / component)
        network.connect_control_plane(self.space, self.settings.files().environment())
        for name in ("etcd", "api", "registry"):
            control.start(name)
        _each(Node.create, self.nodes)
        _each(Node.start_containerd, self.nodes)
        self._push_busybox()
        control.wait()
        for name in ("controllers", "scheduler"):
            control.start(name)
        _each(Node.start_kubelet, self.nodes)
        _each(Node.wait_ready, self.nodes)
        for _ in wait_for("service account default/default made by the controller-manager", 30):
            if control.object("/api/v1/namespaces/default/serviceaccounts/default"):
                break

    def _push_busybox(self) -> None:
        layer = images.busybox_layer(self.settings.binaries / "bin" / "busybox")
        with network_of(self.space.pid()):
            for _ in wait_for("registry answers", 30):
                try:
                    images.push(REGISTRY, "testbed/busybox", "1", layer, ["sleep", "2147483647"])
                    return
                except ConnectionError:
                    continue

    @property
    def space(self) -> Space:
        return Space(self.settings.state, "testbed")

    @property
    def control(self) -> ControlPlane:
        return ControlPlane(self.settings)

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(self.node(f"node{number}") for number in range(1, self.settings.nodes + 1))

    def node(self, name: str) -> Node:
        return Node(self.settings, name)

    @property
    def registry(self) -> str:
        """host:port of the image registry, plain HTTP, as pods' images and pushes inside name it."""
        return REGISTRY

    @property
    def kubeconfig(self) -> Path:
        """A cluster-admin kubeconfig (mode 0600)."""
        return self.settings.state / "kubeconfig" / "admin"

    def kubeconfig_for(self, user: str, groups: Sequence[str] = (), lifetime: datetime.timedelta = pki.YEAR) -> Path:
        """A kubeconfig with a client certificate for any user and groups; a negative lifetime makes an expired one."""
        folder = self.settings.state / "pki"
        name = pki.client(folder, user, groups, lifetime)
        return pki.kubeconfig(folder, name, self.settings.state / "kubeconfig" / name)

    def environment(self) -> dict[str, str]:
        """What a command inside gets on top of, or in place of, the caller's environment."""
        mine = self.settings.files().environment()
        path = f"{self.settings.files().kube}:{self.settings.binaries}/bin:{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
        return {
            **mine,
            "PATH": path,
            "HOME": os.environ.get("HOME", "/root"),
            "KUBECONFIG": str(self.kubeconfig),
            STATE: str(self.settings.state),
        }

    def command(self, argv: Sequence[str]) -> tuple[list[str], dict[str, str]]:
        """argv made to run in the testbed's network, with the machine's own files and pids, and its environment."""
        kept = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
        return [*self.space.enter(only=["-n"]), *argv], {**kept, **self.environment()}

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a command in the testbed's network; options as subprocess.run takes (env is added to the testbed's)."""
        enter, env = self.command(argv)
        return subprocess.run(enter, env={**env, **options.pop("env", {})}, **options)

    def kubectl(self, *args: str) -> str:
        """Output of kubectl as admin; TestbedError with what it said when it fails."""
        done = self.run(["kubectl", *args], capture_output=True, text=True)
        if done.returncode != 0:
            raise TestbedError(f"kubectl {' '.join(args)}: {done.stderr.strip()}")
        return str(done.stdout)

    def snapshot(self, name: str) -> None:
        """Keep every object of the API and every file written on the nodes under a name."""
        Snapshots(self.settings, self.nodes).save(name)

    def restore(self, name: str) -> None:
        """Go back to a snapshot: same objects and UIDs, later pods gone, nodes' files as before, kubelets serving."""
        Snapshots(self.settings, self.nodes).restore(name)

    def stop_api(self) -> None:
        """SIGKILL the API server."""
        self.control.stop("api")

    def start_api(self) -> None:
        """Start the API server and wait until it is ready."""
        self.control.start("api")
        self.control.wait()

    def down(self) -> None:
        """End the testbed and remove all of it."""
        destroy(self.settings.name)
