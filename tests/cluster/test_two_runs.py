"""One run at a time: a second is refused, and a first one that slept through a take-over writes nothing any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.cluster.product import Gpuready
from tests.cluster.snapshot import snapshot
from tests.cluster.test_killed import KILLER

pytestmark = pytest.mark.cluster


def test_a_run_that_slept_through_a_take_over_writes_nothing(admin: Gpuready) -> None:
    log = admin.folder / "points"
    first = subprocess.Popen(
        [sys.executable, str(KILLER), "9", str(log), "--", "up", "--yes"],
        cwd=admin.folder,
        env={**admin.environment(), "KILLER_SIGNAL": "SIGSTOP"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _until_stopped(first.pid)
        second = admin.run("up", "--yes")
        assert second.returncode == 1
        assert "is not finished" in second.stderr
        resume = admin.run("apply", "--resume", "--yes")
        assert resume.returncode == 1
        assert f"another run is at work on this cluster: {_user()}@{os.uname().nodename} pid {first.pid}" in (
            resume.stderr
        )
        taken = admin.run("apply", "--resume", "--take-over", "--yes")
        assert taken.returncode == 0, taken.stderr
        after = snapshot(admin.testbed)
        os.kill(first.pid, signal.SIGCONT)
        _, said = first.communicate(timeout=60)
        assert first.returncode == 1
        assert "was taken over" in said or "another run has written" in said, said
        assert snapshot(admin.testbed) == after
    finally:
        first.kill()


def _user() -> str:
    import getpass

    return getpass.getuser()


def _until_stopped(pid: int) -> None:
    end = time.monotonic() + 60
    while True:
        with open(f"/proc/{pid}/stat") as file:
            if file.read().rpartition(")")[2].split()[0] == "T":
                return
        assert time.monotonic() < end, "the first run did not get to its point"
        time.sleep(0.1)
