"""One run at a time: a second is refused, and a first one that slept through a take-over writes nothing any more."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from gpuready.adapters.kube import Client
from gpuready.engine.execute import Executor
from gpuready.model.journal import Intent
from gpuready.model.plan import Ref, Restore
from tests.cluster.product import Gpuready
from tests.cluster.snapshot import settled, snapshot
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
        after = settled(admin.testbed)
        os.kill(first.pid, signal.SIGCONT)
        _, said = first.communicate(timeout=60)
        assert first.returncode == 1
        assert "was taken over" in said or "another run has written" in said, said
        assert snapshot(admin.testbed) == after
    finally:
        first.kill()


def test_a_note_of_an_older_run_on_this_disk_says_nothing_any_more(admin: Gpuready) -> None:
    killed = subprocess.run(
        [sys.executable, str(KILLER), "1", str(admin.folder / "points"), "--", "up", "--yes"],
        cwd=admin.folder,
        env=admin.environment(),
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    (note,) = (admin.folder / "state" / "gpuready").iterdir()
    elsewhere = dataclasses.replace(admin, env={"XDG_STATE_HOME": str(admin.folder / "another-machine")})
    elsewhere.ok("up", "--yes")
    assert "nothing to do" in admin.ok("up", "--yes")
    assert "there is no unfinished run" in admin.run("apply", "--resume").stderr
    elsewhere.ok("uninstall", "--yes")
    assert note.exists()


def test_a_label_is_taken_back_while_others_write_the_same_node(cluster: Client) -> None:
    node = Ref(api_version="v1", kind="Node", name="node1")
    label = "/metadata/labels/example.com~1mine"
    cluster.patch(node, {"metadata": {"labels": {"example.com/mine": "1"}}})
    uid = cluster.get(node)["metadata"]["uid"]
    busy = Busy(cluster, node)
    executor = Executor(busy, None, None, print)
    action = Restore(node, uid, {label: "1"}, {label: None})
    assert executor._do(action, Intent(at="", step="restore")).note == ""
    assert busy.written == 2
    assert "example.com/mine" not in cluster.get(node)["metadata"]["labels"]
    cluster.patch(node, {"metadata": {"annotations": {"example.com/busy": None}}})


class Busy:
    """The cluster, where twice somebody writes a Node between our look at it and our change."""

    def __init__(self, cluster: Client, node: Ref) -> None:
        self.cluster, self.node, self.written = cluster, node, 0

    def get(self, ref: Ref) -> Any:
        seen = self.cluster.get(ref)
        if self.written < 2:
            self.written += 1
            self.cluster.patch(self.node, {"metadata": {"annotations": {"example.com/busy": str(self.written)}}})
        return seen

    def patch(self, ref: Ref, change: Any) -> Any:
        return self.cluster.patch(ref, change)


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
