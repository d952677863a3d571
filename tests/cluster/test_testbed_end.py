"""Whatever way a testbed ends, `down` leaves the machine as it was."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed import Testbed
from testbed.cluster import destroy, state_folder
from testbed.process import arguments, namespace, running

pytestmark = pytest.mark.cluster

NAME = "end"
WRITTEN_BY_NODES = (
    *(
        "/run/containerd",
        "/run/netns",
        "/run/nvidia",
        "/run/cdi",
        "/var/lib/kubelet",
        "/var/lib/containerd",
        "/var/lib/cni",
    ),
    *("/var/log/pods", "/var/log/containers", "/etc/kubernetes", "/etc/containerd", "/etc/cni/net.d", "/opt/cni"),
    *("/usr/local/nvidia", "/usr/libexec/kubernetes"),
)
COMMAND = [sys.executable, "-m", "testbed", "--name", NAME]
REPOSITORY = Path(__file__).parents[2]


def traces() -> dict[str, object]:
    """What a testbed could leave on a machine, but for what concurrent testbeds of other names have."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    cgroups = [str(path) for path in Path("/sys/fs/cgroup").rglob(f"*testbed-{NAME}-*")]
    links = subprocess.run(["ip", "-brief", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    sysctls = {
        name: Path("/proc/sys", name).read_text()
        for name in ("vm/overcommit_memory", "kernel/panic", "kernel/panic_on_oops")
    }
    files = [sorted(path for path, _, _ in os.walk(folder)) for folder in WRITTEN_BY_NODES]
    files.append([name for name in os.listdir("/dev") if name.startswith("nvidia")])
    pids = [pid for pid in running() if any(str(state_folder(NAME)) in word for word in arguments(pid))]
    named = sorted(os.listdir("/run/netns")) if Path("/run/netns").exists() else []
    return {
        "mounts": mounts,
        "cgroups": cgroups,
        "links": [line.split()[0] for line in links],
        "sysctls": sysctls,
        "files": files,
        "processes": pids,
        "named network namespaces": named,
        "state": state_folder(NAME).exists(),
    }


@contextlib.contextmanager
def namespaces_of(testbed: Testbed) -> Iterator[set[int]]:
    """The network namespaces of a testbed, its nodes and their pods: of every process that its PID 1 can see.

    They are held open, as the kernel gives the number of one that is gone to the next, which may be another testbed's.
    """
    inside = Path(f"/proc/{testbed.space.pid()}/root/proc")
    with contextlib.ExitStack() as held:
        found = set()
        for path in inside.iterdir():
            if path.name.isdigit():
                found.add(os.fstat(held.enter_context((path / "ns/net").open("rb")).fileno()).st_ino)
        yield found


def in_use(namespaces: set[int]) -> list[int]:
    return [pid for pid in running() if namespace(pid, "net") in namespaces]


@pytest.fixture
def before() -> Iterator[dict[str, object]]:
    destroy(NAME)
    yield traces()
    destroy(NAME)


def with_a_pod() -> Testbed:
    testbed = Testbed.up(1, name=NAME)
    testbed.kubectl("run", "p", "--image", "192.0.2.10:5000/testbed/busybox:1", "--", "sleep", "1000")
    testbed.kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=60s")
    return testbed


def test_down_leaves_nothing(before: dict[str, object]) -> None:
    testbed = with_a_pod()
    with namespaces_of(testbed) as namespaces:
        assert len(namespaces) == 3  # testbed, node, pod
        assert traces() != before
        testbed.down()
        assert in_use(namespaces) == []
    assert traces() == before


def test_down_leaves_nothing_after_every_process_was_killed(before: dict[str, object]) -> None:
    testbed = with_a_pod()
    with namespaces_of(testbed) as namespaces:
        for pid in in_use(namespaces):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while in_use(namespaces) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert subprocess.run([*COMMAND, "down"], cwd=REPOSITORY).returncode == 0
        assert in_use(namespaces) == []
    assert traces() == before


def test_down_leaves_nothing_when_everything_was_stopped_by_a_signal(before: dict[str, object]) -> None:
    testbed = with_a_pod()
    with namespaces_of(testbed) as namespaces:
        for pid in in_use(namespaces):
            os.kill(pid, signal.SIGSTOP)
        testbed.down()
        assert in_use(namespaces) == []
    assert traces() == before


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.5, 4.0])
def test_down_leaves_nothing_of_an_up_that_was_killed(before: dict[str, object], seconds: float) -> None:
    up = subprocess.Popen([*COMMAND, "up", "--nodes", "1"], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    up.kill()
    up.wait()
    assert subprocess.run([*COMMAND, "down"], cwd=REPOSITORY).returncode == 0
    assert traces() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_up_that_is_ended_removes_what_it_made(before: dict[str, object], number: signal.Signals) -> None:
    def as_in_a_terminal() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it

    command = [*COMMAND, "up", "--nodes", "1"]
    up = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.DEVNULL, preexec_fn=as_in_a_terminal)
    while not state_folder(NAME).exists():
        time.sleep(0.1)
    time.sleep(1)
    up.send_signal(number)
    assert up.wait(30) != 0
    assert traces() == before


def test_a_second_testbed_of_the_same_name_is_refused_and_the_first_goes_on(before: dict[str, object]) -> None:
    assert before["state"] is False
    testbed = Testbed.up(1, name=NAME)
    again = subprocess.run([*COMMAND, "up", "--nodes", "1"], cwd=REPOSITORY, capture_output=True, text=True)
    assert (again.returncode, again.stderr) == (
        1,
        f"testbed: testbed {NAME} runs already; end it: python -m testbed down\n",
    )
    assert testbed.kubectl("get", "nodes", "-o", "name") == "node/node1\n"
