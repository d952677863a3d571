"""A node's files put back, an image's layer, a process that is still itself, and the command line."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed import TestbedError, images
from testbed.process import Process
from testbed.space import wait_for
from testbed.written import Entry, put_back, written

ROOT = Path(__file__).parents[2]


def add(root: Path) -> None:
    (root / "run/cdi").mkdir()
    (root / "run/cdi/gpu.json").write_text("{}")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "var/lib/kubelet/device-plugins/gpu.sock"))


def change(root: Path) -> None:
    (root / "run/motd").write_text("other")
    (root / "run/motd").chmod(0o600)


def remove(root: Path) -> None:
    (root / "run/motd").unlink()
    (root / "run/empty").rmdir()


def turn_into_folder(root: Path) -> None:
    (root / "run/motd").unlink()
    (root / "run/motd").mkdir()
    (root / "run/motd/below").touch()


def turn_link(root: Path) -> None:
    (root / "run/link").unlink()
    (root / "run/link").symlink_to("elsewhere")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    for folder in ("run/empty", "upper", "var/lib/kubelet/device-plugins", "run/netns"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "run/motd").write_text("hello")
    (tmp_path / "run/motd").chmod(0o640)
    (tmp_path / "run/link").symlink_to("motd")
    (tmp_path / "run/netns/cni-1").touch()
    return tmp_path


@pytest.mark.parametrize("happens", [add, change, remove, turn_into_folder, turn_link])
def test_whatever_happens_to_a_nodes_files_is_put_back(node: Path, happens: Callable[[Path], None]) -> None:
    before = written(node, node / "upper")
    happens(node)
    assert written(node, node / "upper") != before
    put_back(node, written(node, node / "upper"), before)
    assert written(node, node / "upper") == before


def test_what_was_written_is_told_path_by_path_without_the_runtimes_own(node: Path) -> None:
    (node / "upper/etc").mkdir(mode=0o755)
    (node / "upper/etc/hostname").write_text("node1")
    (node / "upper/etc/hostname").chmod(0o644)
    (node / "upper/var/lib/kubelet").mkdir(parents=True)
    (node / "run/empty").chmod(0o755)
    assert {path: entry for path, entry in written(node, node / "upper").items() if "var" not in path} == {
        "etc": Entry("folder", 0o755),
        "etc/hostname": Entry("file", 0o644, b"node1"),
        "run/empty": Entry("folder", 0o755),
        "run/link": Entry("link", content=b"motd"),
        "run/motd": Entry("file", 0o640, b"hello"),
    }


def test_a_changed_file_too_large_to_keep_is_said_and_not_guessed(node: Path) -> None:
    before = {**written(node, node / "upper"), "run/motd": Entry("large", 0o644, b"5000000 1")}
    with pytest.raises(TestbedError, match=r"run/motd was changed and is too large to have been kept"):
        put_back(node, written(node, node / "upper"), before)


def test_a_layer_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_text("#!/bin/sh\nprintf 'ls\\nbusybox\\ncat\\n'\n")
    busybox.chmod(0o755)
    assert images.busybox_layer(busybox) == images.busybox_layer(busybox)


def test_a_process_is_itself_until_it_ends_and_no_other_of_its_pid() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    process = Process.of(child.pid)
    assert process is not None
    other = Process(child.pid, process.started - 1)
    assert (process.alive, other.alive) == (True, False)
    other.send(signal.SIGKILL)
    assert process.alive
    os.kill(child.pid, signal.SIGSTOP)
    process.kill()
    assert (process.alive, child.wait()) == (False, -signal.SIGKILL)


def test_waiting_ends_with_what_was_waited_for() -> None:
    with pytest.raises(TestbedError) as error:
        for _ in wait_for("node1 Ready", 0.02, poll=0.01):
            pass
    assert str(error.value) == "node1 Ready: not so after 0.02 s"


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (["exec", "--", "true"], 1, "no testbed in {run}/default; start one: python -m testbed up --nodes 2"),
        (["--name", "Ü", "status"], 1, "'Ü' is no name for a testbed: lower-case letters, digits and -, at most 31"),
        (["exec"], 1, "no command given: python -m testbed exec -- kubectl get nodes"),
        (["up", "--nodes", "7"], 1, "--nodes 7: a testbed has 1 to 3 nodes"),
        (["up", "--replay", "node1"], 2, "error: argument --replay: 'node1' is not NODE=CAPTURE"),
    ],
)
def test_wrong_use_is_told_in_one_line(tmp_path: Path, argv: list[str], code: int, message: str) -> None:
    env = {**os.environ, "GPUREADY_TESTBED_CACHE": str(tmp_path), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "testbed", *argv], capture_output=True, text=True, env=env, cwd=tmp_path
    )
    last = done.stderr.splitlines()[-1].partition(": ")[2]
    assert (done.returncode, last) == (code, message.replace("{run}", f"{tmp_path}/run"))
    assert "Traceback" not in done.stderr
