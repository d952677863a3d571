"""The running container runtime of this node: found by what it reads, asked for its configuration, restarted.

Seen from a pod that shares the node's process ids: everything of the runtime's is reached through /proc/PID/root.

How each takes a new configuration, and what was chosen:
- containerd reads its files only when it starts. It gets SIGTERM, on which it ends in order, and is started again by
  whoever keeps it (Restart=always in the unit of its own packages and of distributions; NVIDIA's toolkit relies on the
  same). Its containers live on under their shims, this pod too: what it prints waits in a pipe that its shim holds
  open, and is read again when containerd is back. `systemctl restart` would need the node's D-Bus, and is only the last
  resort where nobody has started it.
- CRI-O reads its runtimes anew on SIGHUP (crio.conf(5), "supports live configuration reload");
  dockerd does (dockerd(8)).
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gpuready.knowledge.distributions import of_config
from gpuready.model.errors import UserError
from gpuready.node.runtime_write import CONFIG

PROCESS = {"containerd": "containerd", "cri-o": "crio", "docker": "dockerd"}
SOCKET = {"containerd": "run/containerd/containerd.sock", "cri-o": "run/crio/crio.sock"}
SIGNAL = {"containerd": signal.SIGTERM, "cri-o": signal.SIGHUP, "docker": signal.SIGHUP}
DUMP_SECONDS = 20.0
BACK_SECONDS = 45.0  # systemd waits RestartSec (5 s in containerd's unit) before it starts it
RELOAD_SECONDS = 2.0
POLL = 0.2


class Daemon(NamedTuple):
    """One process. `started`: seconds since the epoch, as the kernel counts them."""

    runtime: str
    pid: int
    started: float

    @property
    def root(self) -> str:
        return f"/proc/{self.pid}/root"

    def alive(self) -> bool:
        return _started(self.pid) == self.started

    def dump(self) -> dict[str, Any] | None:
        """Its files as it reads them, by its own program; None where it has no word for that, or does not take them."""
        if self.runtime == "docker":
            return None
        there = os.path.exists(f"{self.root}{CONFIG['containerd']}")
        words = ["config"] if self.runtime == "cri-o" else ["config", "dump" if there else "default"]
        done = _run(self.pid, f"/proc/{self.pid}/exe", [PROCESS[self.runtime], *words], DUMP_SECONDS)
        try:
            return tomllib.loads(done) if done is not None else None
        except (tomllib.TOMLDecodeError, RecursionError):
            return None


def find(runtime: str, folder: Path) -> Daemon:
    """The process that reads the very folder that is mounted here; others of its name belong to containers.

    Raises UserError where there is none, or where it was told to read another file.
    """
    found = _find(runtime, folder)
    if found is None:
        raise UserError(f"no running {runtime} reads {CONFIG[runtime]} on this node", "is it configured elsewhere?")
    words = Path(f"/proc/{found.pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    for flag in ("-c", "--config", "--config-file"):
        told = [w.partition("=")[2] or nxt for w, nxt in zip(words, [*words[1:], ""], strict=True) if _is(w, flag)]
        if told and told[-1] != CONFIG[runtime]:
            own = of_config(told[-1]) if runtime == "containerd" else None
            raise UserError(
                f"{runtime} reads {told[-1]}, not {CONFIG[runtime]}{f': it belongs to {own.name}' if own else ''}",
                own.mend("nvidia", (2, 0)) if own else "put the entry there by hand",
            )
    return found


def _is(word: str, flag: str) -> bool:
    return word == flag or word.startswith(f"{flag}=")


def _find(runtime: str, folder: Path) -> Daemon | None:
    mine = os.stat(folder)
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            if Path(f"/proc/{name}/comm").read_text().strip() != PROCESS[runtime]:
                continue
            seen = os.stat(f"/proc/{name}/root{CONFIG[runtime].rpartition('/')[0]}")
        except OSError:
            continue
        started = _started(int(name))
        if (seen.st_dev, seen.st_ino) == (mine.st_dev, mine.st_ino) and started is not None:
            return Daemon(runtime, int(name), started)
    return None


def _started(pid: int) -> float | None:
    """proc(5): field 22 of /proc/PID/stat, in clock ticks since the boot. None: there is no such process any more."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime "))
    except (OSError, StopIteration):
        return None
    return None if fields[0] in "ZX" else int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")


def restart(daemon: Daemon, folder: Path) -> float | None:
    """Make it read its files. Seconds until it answered again; None: it did not come back."""
    answered = answers(daemon)
    began = time.monotonic()
    os.kill(daemon.pid, SIGNAL[daemon.runtime])
    if daemon.runtime != "containerd":
        time.sleep(RELOAD_SECONDS)
        return 0.0 if daemon.alive() and answers(daemon) == answered else None

    def back() -> bool:
        new = _find("containerd", folder)
        return new is not None and new != daemon and (answers(new) or not answered)

    return time.monotonic() - began if _until(back) else None


def start_again(daemon: Daemon, folder: Path) -> bool:
    """The last resort, where it has not come back by itself: its unit is started through systemd, if there is one."""
    if _find(daemon.runtime, folder) is None and os.path.exists("/proc/1/root/run/systemd/system"):
        _run(1, "/usr/bin/systemctl", ["systemctl", "restart", PROCESS[daemon.runtime]], BACK_SECONDS)
    return _until(lambda: (new := _find(daemon.runtime, folder)) is not None and answers(new))


def _until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + BACK_SECONDS
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(POLL)
    return False


def answers(daemon: Daemon) -> bool:
    """Whether the kubelet could work with it: its CRI service answers. Always true of docker, which has none itself."""
    if daemon.runtime == "docker":
        return True
    return asyncio.run(_version(f"{daemon.root}/{SOCKET[daemon.runtime]}"))


async def _version(path: str) -> bool:
    """CRI's Version says OK only once the plugin has its containers back (containerd's instrumented service)."""
    from google.protobuf.empty_pb2 import Empty
    from grpclib.client import Channel, UnaryUnaryMethod
    from grpclib.exceptions import GRPCError, StreamTerminatedError

    channel = Channel(path=path)
    method = UnaryUnaryMethod[Empty, Empty](channel, "/runtime.v1.RuntimeService/Version", Empty, Empty)
    try:
        await method(Empty(), timeout=2.0)
    except (GRPCError, StreamTerminatedError, OSError, TimeoutError):
        return False
    finally:
        channel.close()
    return True


def _run(pid: int, program: str, argv: list[str], seconds: float) -> str | None:
    """What a program of the node prints, run in the file system that a process of the node sees; None: it failed."""

    def enter() -> None:
        os.chroot(f"/proc/{pid}/root")
        os.chdir("/")

    env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
    try:
        done = subprocess.run(
            argv, executable=program, preexec_fn=enter, env=env, capture_output=True, timeout=seconds, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")
