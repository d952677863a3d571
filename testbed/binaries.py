"""Finds or builds what the testbed runs: Kubernetes and containerd from Go modules, the rest from Debian packages.

One folder holds it all, outside the source tree: bin/ (containerd, runc, busybox, docker-registry...), cni/,
kube-VERSION/ (one binary and its names). $GPUREADY_TESTBED_CACHE names another folder than ~/.cache/gpuready-testbed.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import TestbedError

KUBERNETES = "1.34.4"
RELEASES = {"1.31": "1.31.0", "1.34": KUBERNETES, "1.37": "1.37.2"}  # those that the cluster tests were run on
CONTAINERD = "2.2.9"
HELM = "3.22.0"  # for tests/cluster/test_operator.py alone: built when it asks
COMPONENTS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
CONTAINERD_BINARIES = ("containerd", "containerd-shim-runc-v2", "ctr")  # ctr is for people: nothing needs it
PACKAGED = {"runc": "runc", "busybox": "busybox-static", "docker-registry": "docker-registry"}  # binary: Debian package
CNI_PLUGINS = ("bridge", "host-local", "loopback")
CNI_PACKAGE = "containernetworking-plugins"
STAGING = (
    "api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider cluster-bootstrap "
    "code-generator component-base component-helpers controller-manager cri-api cri-client cri-streaming "
    "csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms kube-aggregator "
    "kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils "
    "pod-security-admission sample-apiserver sample-cli-plugin sample-controller streaming "
)  # names of the staging modules, separated by spaces
WORK = "build-"
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Say = Callable[[str], None]


def cache() -> Path:
    """The folder that holds binaries and running testbeds."""
    named = os.environ.get("GPUREADY_TESTBED_CACHE")
    return Path(named).absolute() if named else Path.home() / ".cache" / "gpuready-testbed"


def release(text: str) -> str:
    """1.31 -> 1.31.0, the release of that minor version in RELEASES; X.Y.Z is itself. TestbedError for others."""
    named = RELEASES.get(text, text)
    if not re.fullmatch(r"1\.\d{1,2}\.\d{1,2}", named):
        raise TestbedError(f"{text!r} is no Kubernetes release: X.Y.Z, or one of {', '.join(RELEASES)}")
    return named


@dataclass(frozen=True)
class Binaries:
    """A folder of binaries, for one Kubernetes version."""

    root: Path
    kubernetes: str = KUBERNETES

    @property
    def kube(self) -> Path:
        return self.root / f"kube-{self.kubernetes}"

    def environment(self) -> dict[str, str]:
        """What every process of the testbed gets, and nothing else: no proxy, no locale, no secrets of the caller."""
        return {"PATH": f"{self.kube}:{self.root}/bin:{SYSTEM_PATH}", "HOME": "/root"}

    def needed(self) -> list[Path]:
        files = [self.root / "bin" / name for name in (*CONTAINERD_BINARIES[:2], *PACKAGED)]
        files += [self.root / "cni" / name for name in CNI_PLUGINS]
        return [*files, self.kube / "kube", *(self.kube / name for name in COMPONENTS)]

    def missing(self) -> list[Path]:
        """What is not there yet."""
        return [path for path in self.needed() if not path.exists()]

    def helm(self, say: Say) -> Path:
        """The helm program, built from its Go module where it is not there yet."""
        path = self.root / "bin" / "helm"
        if not path.exists():
            with _one_at_a_time(self.root, say):
                _helm(path, say)
        return path

    def build(self, say: Say) -> None:
        """Make what is missing; one build at a time per folder. TestbedError says what is needed where it cannot."""
        if not self.missing() and shutil.which("ip", path=self.environment()["PATH"]):
            return
        self.root.mkdir(parents=True, exist_ok=True)
        with _one_at_a_time(self.root, say):
            for left in self.root.glob(f"{WORK}*"):  # of a build that was killed
                shutil.rmtree(left, ignore_errors=True)
            missing = self.missing()
            _iproute(self.environment()["PATH"], say)
            if any(path.parent.name == "cni" or path.name in PACKAGED for path in missing):
                _debian(self.root, say)
            if any(path.name in CONTAINERD_BINARIES for path in missing):
                _containerd(self.root / "bin", say)
            if any(path.parent == self.kube for path in missing):
                _kube(self.kube, self.kubernetes, say)


@contextmanager
def _one_at_a_time(folder: Path, say: Say) -> Iterator[None]:
    lock = os.open(folder, os.O_RDONLY)  # a lock on the folder itself leaves no file
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another build works in {folder}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _run(what: str, argv: list[str], cwd: Path, env: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        argv, cwd=cwd, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-12:])
        raise TestbedError(f"{what}: `{' '.join(argv[:3])} ...` failed with {done.returncode}:\n{tail}")


def _iproute(path: str, say: Say) -> None:
    if shutil.which("ip", path=path):
        return
    if os.geteuid() != 0:
        raise TestbedError("`ip` is not on this machine; install it: apt-get install iproute2")
    say("installing iproute2 (seconds)")
    _run("apt", ["apt-get", "update"], Path("/"))
    _run(
        "apt",
        ["apt-get", "install", "-y", "--no-install-recommends", "iproute2"],
        Path("/"),
        {"DEBIAN_FRONTEND": "noninteractive"},
    )


def _unpack(packages: list[str], into: Path) -> None:
    """Download Debian packages and unpack them: nothing is installed, so no service of theirs starts."""
    try:
        _run("apt", ["apt-get", "download", *packages], into)
    except TestbedError:
        if os.geteuid() != 0:
            raise
        _run("apt", ["apt-get", "update"], into)
        _run("apt", ["apt-get", "download", *packages], into)
    for package in into.glob("*.deb"):
        _run("dpkg", ["dpkg-deb", "-x", str(package), str(into / "root")], into)


def _debian(root: Path, say: Say) -> None:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise TestbedError(
            f"this is no Debian: put {', '.join(PACKAGED)} into {root}/bin and {', '.join(CNI_PLUGINS)} into {root}/cni"
        )
    say(f"unpacking Debian packages {', '.join([*PACKAGED.values(), CNI_PACKAGE])} (seconds)")
    with tempfile.TemporaryDirectory(prefix=WORK, dir=root) as folder:
        into = Path(folder)
        into.chmod(0o755)  # apt's own user reads it
        _unpack([*PACKAGED.values(), CNI_PACKAGE], into)
        for name, target in [*((n, root / "bin") for n in PACKAGED), *((n, root / "cni") for n in CNI_PLUGINS)]:
            found = [p for p in (into / "root").rglob(name) if p.is_file() and p.parent.name in ("bin", "sbin", "cni")]
            if not found:
                raise TestbedError(
                    f"no binary {name} in Debian's {PACKAGED.get(name, CNI_PACKAGE)}; put it into {target}"
                )
            target.mkdir(exist_ok=True)
            shutil.move(found[0], target / name)


def _go() -> str:
    go = shutil.which("go")
    if go is None:
        raise TestbedError(
            "`go` is not on PATH: install Go 1.24 or newer (Debian 13: apt-get install golang-go) and run again"
        )
    return go


def _containerd(target: Path, say: Say) -> None:
    say(f"building containerd {CONTAINERD} from Go modules (1 to 2 minutes on 2 cores)")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=WORK, dir=target.parent) as folder:
        module = "github.com/containerd/containerd/v2"
        modules = [f"{module}/cmd/{name}@v{CONTAINERD}" for name in CONTAINERD_BINARIES]
        flags = [
            "-trimpath",
            "-tags",
            "no_btrfs no_devmapper no_zfs no_aufs",
            "-ldflags",
            f"-s -w -X {module}/version.Version={CONTAINERD}",
        ]
        _run("containerd", [_go(), "install", *flags, *modules], Path(folder), {"CGO_ENABLED": "0", "GOBIN": folder})
        target.mkdir(exist_ok=True)
        for name in CONTAINERD_BINARIES:
            (Path(folder) / name).rename(target / name)
    say(f"containerd {CONTAINERD}: built in {time.monotonic() - started:.0f} s")


def _helm(path: Path, say: Say) -> None:
    if path.exists():
        return
    say(f"building helm {HELM} from its Go module (1 to 2 minutes on 2 cores)")
    module = f"helm.sh/helm/v{HELM.partition('.')[0]}"
    with tempfile.TemporaryDirectory(prefix=WORK, dir=path.parent.parent) as folder:
        flags = ["-trimpath", "-ldflags", f"-s -w -X {module}/internal/version.version=v{HELM}"]
        argv = [_go(), "install", *flags, f"{module}/cmd/helm@v{HELM}"]
        _run("helm", argv, Path(folder), {"CGO_ENABLED": "0", "GOBIN": folder})
        (Path(folder) / "helm").rename(path)


def go_mod(kubernetes: str) -> str:
    """The go.mod that builds a Kubernetes release as a module: its staging modules are v0.MINOR.PATCH."""
    _, minor, patch = kubernetes.split(".")
    lines = [f"\tk8s.io/{name} => k8s.io/{name} v0.{minor}.{patch}" for name in STAGING.split()]
    head = f"module gpuready.dev/testbed/kube\n\ngo 1.24\n\nrequire k8s.io/kubernetes v{kubernetes}\n\nreplace (\n"
    return head + "\n".join(lines) + "\n)\n"


def _kube(target: Path, kubernetes: str, say: Say) -> None:
    say(
        f"building Kubernetes {kubernetes} and etcd from Go modules "
        "(5 to 9 minutes on 2 cores, under 1 when Go's cache has it)"
    )
    started = time.monotonic()
    major, minor, _ = kubernetes.split(".")
    tags = "kubelet_without_context" if int(minor) < 32 else ""
    version = {"gitVersion": f"v{kubernetes}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    stamp = " ".join(f"-X k8s.io/component-base/version.{key}={value}" for key, value in version.items())
    with tempfile.TemporaryDirectory(prefix=WORK, dir=target.parent) as folder:
        work = Path(folder)
        for source in (Path(__file__).parent / "kube").glob("*.go"):
            shutil.copy(source, work)
        (work / "go.mod").write_text(go_mod(kubernetes))
        _run(f"Kubernetes {kubernetes}", [_go(), "mod", "tidy"], work, {"CGO_ENABLED": "0"})
        flags = ["-trimpath", "-tags", tags, "-ldflags", f"-s -w {stamp}", "-o", "kube", "."]
        _run(f"Kubernetes {kubernetes}", [_go(), "build", *flags], work, {"CGO_ENABLED": "0"})
        target.mkdir(exist_ok=True)
        (work / "kube").rename(target / "kube")
    for name in COMPONENTS:
        if not (target / name).is_symlink():
            (target / name).symlink_to("kube")
    say(f"Kubernetes {kubernetes}: built in {time.monotonic() - started:.0f} s")
