"""PID 1 of the testbed and of each of its nodes: makes the namespaces, mounts what a node sees, then only reaps.

usage: init.py STATE NAME   with STATE/init/NAME.json: {"hostname": ..., "node": null | {...}}

Run by its path, without the package: it uses the standard library alone and does not return. When this process dies,
the kernel kills everything else in its pid namespace, and mounts and network go with the last of them
(pid_namespaces(7)): that is how nothing is left.

A node's root is an overlay of the machine's root whose writes go to a tmpfs: whatever a pod or a test writes on "the
host" stays private to the node. On top: its own /dev, /run, /proc, /sys, /var/lib/kubelet, /var/lib/containerd.
"""

import ctypes
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SHARED = 1, 32, 4096, 16384, 1 << 18, 1 << 20
NEW_NS, NEW_UTS, NEW_IPC, NEW_PID, NEW_NET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
KUBELET_SYSCTLS = {  # set by the kubelet on start (pkg/util/sysctl); machine-wide, so a node gets files instead
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}
PRIVATE_TMPFS = ("run", "var/log", "var/lib/kubelet", "var/lib/containerd", "var/lib/cni")
DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "kmsg", "fuse", "net/tun")

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: Path | str, kind: str | None = None, flags: int = 0, options: str | None = None) -> None:
    encoded = [None if text is None else str(text).encode() for text in (source, target, kind)]
    check(
        libc.mount(*encoded, ctypes.c_ulong(flags), options.encode() if options else None),
        f"mount {source} on {target}",
    )


def bind(source: Path | str, target: Path, *, read_only: bool = False) -> None:
    """Bind a file or folder, making the place for it."""
    if Path(source).is_dir():
        target.mkdir(parents=True, exist_ok=True)
    elif not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    mount(str(source), target, flags=MS_BIND | MS_REC)
    if read_only:
        mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY)


def machine_mounts(skip: tuple[str, ...]) -> list[str]:
    """Where else than at / the machine has something mounted, outermost first, but for `skip` (proc(5), mountinfo)."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    decoded = [point.encode().decode("unicode_escape") for point in points]
    return sorted({p for p in decoded if p != "/" and not any(p == s or p.startswith(s + "/") for s in skip)})


def overlay(base: Path) -> Path:
    """The machine's root with private writes; returns its mount point."""
    base.mkdir(parents=True, exist_ok=True)
    mount("testbed", base, "tmpfs", options="mode=755")
    root = base / "root"
    for folder in (base / "upper", base / "work", root):
        folder.mkdir()
    mount("testbed", root, "overlay", options=f"lowerdir=/,upperdir={base}/upper,workdir={base}/work")
    return root


def device_nodes(dev: Path, devices: list[tuple[str, int, int]]) -> None:
    """A /dev of the node's own: the machine's ordinary nodes, and the given ones (name under /dev, major, minor)."""
    mount("testbed", dev, "tmpfs", options="mode=755")
    for folder in ("pts", "shm", "net", "mqueue"):
        (dev / folder).mkdir()
    mount("devpts", dev / "pts", "devpts", options="newinstance,ptmxmode=0666,mode=0620")
    mount("testbed", dev / "shm", "tmpfs")
    for name, target in {
        "ptmx": "pts/ptmx",
        "fd": "/proc/self/fd",
        "stdin": "fd/0",
        "stdout": "fd/1",
        "stderr": "fd/2",
    }.items():
        (dev / name).symlink_to(target)
    ordinary = [(n, os.stat(f"/dev/{n}").st_rdev) for n in DEVICES if os.path.exists(f"/dev/{n}")]
    for name, number in [*ordinary, *((n, os.makedev(major, minor)) for n, major, minor in devices)]:
        node = dev / name
        node.parent.mkdir(parents=True, exist_ok=True)
        os.mknod(node, stat.S_IFCHR | 0o666, number)
        os.chmod(node, 0o666)


def kernel_files(root: Path) -> None:
    """/proc of the node's pid namespace, /sys of its network namespace, the machine's cgroups."""
    mount("proc", root / "proc", "proc")
    mount("sysfs", root / "sys", "sysfs")
    mount("/sys/fs/cgroup", root / "sys/fs/cgroup", flags=MS_BIND | MS_REC)
    own = root / "run/testbed-sysctl"
    own.mkdir()
    for name, value in KUBELET_SYSCTLS.items():
        if (root / "proc/sys" / name).exists():
            file = own / name.replace("/", ".")
            file.write_text(value + "\n")
            mount(str(file), root / "proc/sys" / name, flags=MS_BIND)


def node_root(state: Path, name: str, node: dict[str, Any]) -> None:
    """Make the node's root and make it the root of this mount namespace."""
    root = overlay(state / "roots" / name)
    for point in machine_mounts(("/proc", "/sys", "/dev", "/run", "/var/run", str(state))):
        if (root / point.lstrip("/")).exists():
            mount(point, root / point.lstrip("/"), flags=MS_BIND)
    for folder in PRIVATE_TMPFS:
        (root / folder).mkdir(parents=True, exist_ok=True)
        mount("testbed", root / folder, "tmpfs", options="mode=755")
    mount("none", root / "var/lib/kubelet", flags=MS_SHARED)
    device_nodes(root / "dev", node["devices"])
    kernel_files(root)
    mount(str(state), root / str(state).lstrip("/"), flags=MS_BIND | MS_REC)
    for folder in node["hide"]:
        mount("testbed", root / folder.lstrip("/"), "tmpfs", options="mode=755")
    for source, target, read_only in node["binds"]:
        inside = root / "dev" if source == "/dev" else Path(source)  # the node's own, not the machine's
        bind(inside, root / target.lstrip("/"), read_only=read_only)
    for text, target in node["links"]:
        (root / target.lstrip("/")).unlink(missing_ok=True)
        (root / target.lstrip("/")).symlink_to(text)
    for source, target in node["merges"]:
        place = root / target.lstrip("/")
        mount("testbed", place, "overlay", options=f"lowerdir={source}:{place}")
    os.chdir(root)
    subprocess.run(
        ["pivot_root", ".", "."], check=True
    )  # the old root is now mounted over the new one (pivot_root(2), notes)
    subprocess.run(["umount", "-l", "."], check=True)
    os.chdir("/")


def child(state: Path, name: str, spec: dict[str, Any]) -> None:
    os.setsid()
    hostname = spec["hostname"].encode()
    check(libc.sethostname(hostname, len(hostname)), "sethostname")
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    if spec["node"] is None:
        mount("proc", "/proc", "proc")
    else:
        node_root(state, name, spec["node"])


def reap() -> None:
    """Wait for whatever is orphaned in this namespace, for ever."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            signal.sigwait({signal.SIGCHLD})


def main() -> None:
    state, name = Path(sys.argv[1]), sys.argv[2]
    spec = json.loads((state / "init" / f"{name}.json").read_text())
    nowhere = os.open(os.devnull, os.O_RDWR)
    check(libc.unshare(NEW_NS | NEW_UTS | NEW_IPC | NEW_PID | NEW_NET), "unshare")
    ready, say = os.pipe()
    if os.fork() != 0:
        os.close(say)
        os._exit(0 if os.read(ready, 1) == b"." else 1)
    try:
        child(state, name, spec)
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"{name}: {error}")
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.write(say, b".")
    os.close(say)
    reap()


if __name__ == "__main__":
    main()
