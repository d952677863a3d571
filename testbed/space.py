"""A space: a set of namespaces (mount, pid, network, ipc, uts) held by its PID 1, and the processes started in it."""

import ctypes
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.binaries import SYSTEM_PATH
from testbed.errors import TestbedError
from testbed.process import Process, arguments, namespace, pid_in_namespace, running

INIT = Path(__file__).with_name("init.py")
SPAWN = (
    'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'  # the shell ends, PID 1 of the space inherits the process
)
CLONE_NEWNET = 0x40000000


@dataclass(frozen=True)
class Space:
    """Namespaces by name, below a testbed's state folder; `outer` is the space that it was made in."""

    state: Path
    name: str

    def create(self, hostname: str, node: Mapping[str, Any] | None = None, outer: "Space | None" = None) -> None:
        """Make the namespaces; TestbedError with the reason when the kernel refuses."""
        spec = self.state / "init" / f"{self.name}.json"
        spec.write_text(json.dumps({"hostname": hostname, "node": node}))
        enter = outer.enter() if outer else []
        argv = [*enter, os.path.realpath(sys.executable), "-I", "-S", str(INIT), str(self.state), self.name]
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            start_new_session=True,
            cwd="/",
            env={"PATH": SYSTEM_PATH},
        )
        if done.returncode != 0:
            raise TestbedError(
                f"{self.name}: cannot make its namespaces: {done.stderr.strip() or 'no reason given'}; root is needed"
            )

    def init(self) -> Process | None:
        """PID 1 of the space, found by its arguments, so also after whoever started it has died."""
        return next((Process.of(pid) for pid in self._inits() if pid_in_namespace(pid) == 1), None)

    def pid(self) -> int:
        """The pid of PID 1; TestbedError when the space is not there."""
        known = self.state / "pids" / f"{self.name}.init"
        if known.exists() and (process := self._read(known)) is not None and process.alive:
            return process.pid
        found = self.init()
        if found is None:
            raise TestbedError(f"{self.name} is not running; see: python -m testbed status")
        self._write(known, found)
        return found.pid

    def enter(self, *, only: Sequence[str] = ("-m", "-n", "-p", "-u", "-i")) -> list[str]:
        """The beginning of a command line that runs the rest in this space (nsenter(1))."""
        return ["nsenter", "-t", str(self.pid()), *only, "--"]

    def spawn(self, name: str, argv: Sequence[str], env: Mapping[str, str]) -> Process:
        """Start a process that stays, its output in log/SPACE.NAME.log, and remember it by name."""
        log = self.state / "log" / f"{self.name}.{name}.log"
        done = subprocess.run(
            [*self.enter(), "/bin/sh", "-c", SPAWN, "sh", str(log), *argv],
            env=dict(env),
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise TestbedError(f"{self.name}: cannot start {name}: {done.stderr.strip()}")
        process = self._find(int(done.stdout))
        if process is None:
            raise TestbedError(f"{self.name}: {name} ended at once; its last words: {self.last_words(name)}")
        self._write(self.state / "pids" / f"{self.name}.{name}", process)
        return process

    def process(self, name: str) -> Process | None:
        """The process last started under this name, when it is still alive."""
        process = self._read(self.state / "pids" / f"{self.name}.{name}")
        return process if process is not None and process.alive else None

    def kill(self, name: str) -> None:
        """SIGKILL the process of this name, if it runs."""
        if (process := self.process(name)) is not None:
            process.kill()

    def destroy(self) -> None:
        """Kill PID 1 and with it, by the kernel, everything in the space; also one that is just being made."""
        while found := self._inits():
            for pid in found:
                if (process := Process.of(pid)) is not None:
                    process.kill(30)

    def last_words(self, name: str, lines: int = 4) -> str:
        """The end of a process's log, for error messages."""
        log = self.state / "log" / f"{self.name}.{name}.log"
        if not log.exists():
            return "(no log)"
        return " | ".join(log.read_text(errors="replace").splitlines()[-lines:]) or "(its log is empty)"

    def _inits(self) -> list[int]:
        """Pids that run init.py for this space, of whatever checkout: `down` may be run from another than `up`."""
        mine = [INIT.name, str(self.state), self.name]
        told = ((pid, arguments(pid)[-3:]) for pid in running())
        return [pid for pid, words in told if words and [Path(words[0]).name, *words[1:]] == mine]

    def _find(self, inner: int) -> Process | None:
        """The process with this pid inside the space, as this process's /proc shows it."""
        mine = namespace(self.pid(), "pid")
        for pid in running():
            if namespace(pid, "pid") == mine and pid_in_namespace(pid) == inner:
                return Process.of(pid)
        return None

    @staticmethod
    def _read(file: Path) -> Process | None:
        try:
            pid, started = file.read_text().split()
        except FileNotFoundError:
            return None
        return Process(int(pid), int(started))

    @staticmethod
    def _write(file: Path, process: Process) -> None:
        file.write_text(f"{process.pid} {process.started}\n")


@contextmanager
def network_of(pid: int) -> Iterator[None]:
    """This thread's network is that of another process while the block runs (setns(2) is per thread)."""
    libc = ctypes.CDLL(None, use_errno=True)
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc.setns(there, CLONE_NEWNET) != 0:
            raise TestbedError(f"cannot enter the testbed's network: {os.strerror(ctypes.get_errno())}; root is needed")
        yield
    finally:
        libc.setns(before, CLONE_NEWNET)
        os.close(before)
        os.close(there)


def wait_for(what: str, seconds: float, poll: float = 0.1) -> Iterator[None]:
    """Loop body runs until the caller breaks; TestbedError naming `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(poll)
    raise TestbedError(f"{what}: not so after {seconds:g} s")
