"""A process that is still the one that was started: a pid alone is reused."""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from testbed.errors import TestbedError


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat after the command's name (proc(5)), or None when there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()


def _has_threads(pid: int) -> bool:
    """Whether a process whose first thread has ended has others still, and with them its files and sockets."""
    try:
        return len(os.listdir(f"/proc/{pid}/task")) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass(frozen=True)
class Process:
    """A process by pid and start time (clock ticks since boot), both as this process's /proc shows them."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> "Process | None":
        """The process with this pid now, or None when there is none or it is a zombie."""
        fields = _stat(pid)
        if fields is None or (fields[0] in "ZX" and not _has_threads(pid)):
            return None
        return cls(pid, int(fields[19]))

    @property
    def alive(self) -> bool:
        """Whether this very process still runs (a stopped one does, a zombie does not)."""
        return Process.of(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens when the process is gone."""
        if self.alive:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return

    def kill(self, seconds: float = 10.0) -> None:
        """SIGKILL and wait until it is gone; TestbedError after `seconds`."""
        self.send(signal.SIGKILL)
        deadline = time.monotonic() + seconds
        while self.alive:
            if time.monotonic() > deadline:
                raise TestbedError(
                    f"process {self.pid} is still there {seconds:g} s after SIGKILL; look at /proc/{self.pid}/stack"
                )
            time.sleep(0.005)


def running() -> list[int]:
    """Pids that this process's /proc shows now."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def arguments(pid: int) -> list[str]:
    """The argument vector of a process, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except (FileNotFoundError, ProcessLookupError):
        return []


def pid_in_namespace(pid: int) -> int | None:
    """The pid of a process in its own, innermost pid namespace (NSpid of proc(5)); None when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((int(line.split()[-1]) for line in lines if line.startswith("NSpid:")), None)


def namespace(pid: int, kind: str) -> int | None:
    """The inode that identifies a process's namespace ("net", "pid", ...); None when it is gone or may not be seen."""
    try:
        return os.stat(f"/proc/{pid}/ns/{kind}").st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):  # some machines guard their pid 1 even from root
        return None
