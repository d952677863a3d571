"""`gpuready demo` as anybody would run it: the whole text, in time, and nothing left behind.

`python -m tests.unit.test_demo` writes the text anew, to be read before it is kept.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

GPUREADY = str(Path(sys.executable).with_name("gpuready"))
GOLDEN = Path(__file__).with_name("test_demo.golden.txt")
SECONDS = 20
PLAIN = {"PATH": "/usr/bin:/bin", "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "80"}
# as nobody, who may only read what this installation is made of wherever it lies
READS = "-all,+dac_read_search"
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
AS_NOBODY += [f"--inh-caps={READS}", f"--ambient-caps={READS}", f"--bounding-set={READS}"]


def unprivileged() -> list[str]:
    if os.getuid():
        return []
    assert shutil.which("setpriv"), "as root this test needs setpriv (util-linux) to be nobody"
    return AS_NOBODY


def normal(text: str) -> str:
    """Without what differs from run to run."""
    for pattern, instead in (
        (r"127\.0\.0\.1:\d+", "127.0.0.1:PORT"),
        (r"\b\d+\.\d s\b", "0.0 s"),
        (r"NotReady for \d+s", "NotReady for 0s"),
        (r"uid [0-9a-f]{8}-[0-9a-f-]{27}", "uid UID"),
    ):
        text = re.sub(pattern, instead, text)
    return text


class Demo(threading.Thread):
    """One run in a folder of its own that is also its place for temporary files."""

    def __init__(self, folder: Path, *args: str) -> None:
        super().__init__()
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        self.folder = folder
        self.argv = [*unprivileged(), GPUREADY, "demo", *args]
        self.seconds = 0.0
        self.start()

    def run(self) -> None:
        began = time.monotonic()
        env = {**PLAIN, "TMPDIR": str(self.folder)}
        self.done = subprocess.run(self.argv, cwd="/", env=env, capture_output=True, text=True, timeout=120)
        self.seconds = time.monotonic() - began


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder that everybody can reach."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    return tmp_path


def test_two_at_once_as_nobody_without_home(place: Path) -> None:
    demos = [Demo(place / "a"), Demo(place / "b")]
    for demo in demos:
        demo.join()
    for demo in demos:
        assert (demo.done.returncode, demo.done.stderr) == (0, ""), demo.done.stdout
        assert normal(demo.done.stdout) == GOLDEN.read_text()
        assert [line for line in demo.done.stdout.splitlines() if len(line) > 80] == []
        assert list(demo.folder.iterdir()) == []


def test_in_time(place: Path) -> None:
    """Where more wants to run than there are processors, everybody gets its share of them."""
    demo = Demo(place / "a", "--no-color")
    demo.join()
    assert demo.done.returncode == 0, demo.done.stdout + demo.done.stderr
    assert demo.seconds < SECONDS * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_kept_for_others_until_it_is_told_to_end(place: Path, number: signal.Signals) -> None:
    env = {**PLAIN, "TMPDIR": str(place), "PYTHONUNBUFFERED": "1"}
    demo = subprocess.Popen(
        [GPUREADY, "demo", "--keep"],
        cwd="/",
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    assert demo.stdout
    try:
        kept = next(line.partition("=")[2].strip() for line in demo.stdout if "export KUBECONFIG=" in line)
        assert Path(kept).stat().st_mode & 0o777 == 0o600
        status = subprocess.run([GPUREADY, "status", "--kubeconfig", kept], env=env, capture_output=True, text=True)
        assert status.returncode == 0, status.stderr
        assert "0 held, 2 free, 0 failed" in status.stdout
        stranger = Path(kept).with_name("stranger")
        stranger.write_text(re.sub(r'"token": "\w+"', '"token": "guessed"', Path(kept).read_text()))
        refused = subprocess.run(
            [GPUREADY, "status", "--kubeconfig", str(stranger)], env=env, capture_output=True, text=True
        )
        assert "does not accept the credentials" in refused.stderr
        demo.send_signal(number)
        assert demo.wait(20) == {signal.SIGINT: 0, signal.SIGTERM: 143}[number]
        assert [p for p in place.iterdir() if p.name.startswith("gpuready-demo-")] == []
    finally:
        demo.kill()
        demo.wait()
        demo.stdout.close()


def test_what_it_does_not_serve_it_says() -> None:
    from gpuready.adapters.demo.cluster import Simulated
    from gpuready.adapters.demo.server import Request

    with Simulated() as cluster:
        said = {
            (method, path): cluster.server.api.answer(Request(method, path, {}, "", b"{}")).body.decode()
            for method, path in (
                ("GET", "/api/v1/services"),
                ("DELETE", "/api/v1/nodes/simulated-1"),
                ("GET", "/api/v1/namespaces/a/pods/b/exec"),
            )
        }
    assert {key: re.findall(r'"message": "([^"]*)"', body) for key, body in said.items()} == {
        ("GET", "/api/v1/services"): ["the demo's cluster does not serve /api/v1/services"],
        ("DELETE", "/api/v1/nodes/simulated-1"): [
            "the demo's cluster does not serve delete of nodes: it serves only what the demo asks"
        ],
        ("GET", "/api/v1/namespaces/a/pods/b/exec"): [
            "the demo's cluster does not serve /api/v1/namespaces/a/pods/b/exec"
        ],
    }


if __name__ == "__main__":
    shown = subprocess.run([GPUREADY, "demo"], env=PLAIN, capture_output=True, text=True, check=True)
    GOLDEN.write_text(normal(shown.stdout))
