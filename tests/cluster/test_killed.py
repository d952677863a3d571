"""Killed at every point of the journal in turn: resume completes, and the result equals an undisturbed run."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from testbed import Testbed
from tests.cluster.product import Gpuready
from tests.cluster.snapshot import differences, settled, snapshot

pytestmark = pytest.mark.cluster
# before the first entry of the journal nothing was changed, and after the last nothing is left to do
NOTHING_OPEN = ("lock", "end", "end on disk", "lock released")
SHARES = 2  # every other point is a test of its own, so that two testbeds can go through them
SETTLES = 15.0  # seconds; the agent's labels and the kubelet's status come by themselves, after the run
KILLER = Path(__file__).with_name("killer.py")


class Life:
    """Runs of one verb from one starting point, each in a folder of its own."""

    def __init__(self, testbed: Testbed, image: str, tmp: Path, start: str, verb: str) -> None:
        self.testbed, self.image, self.tmp, self.start, self.verb = testbed, image, tmp, start, verb

    def begin(self, name: str) -> Gpuready:
        self.testbed.restore(self.start)
        folder = self.tmp / name
        folder.mkdir()
        return Gpuready(self.testbed, folder, self.image, self.testbed.kubeconfig)

    def run(self, product: Gpuready, fatal: int) -> tuple[int, list[str], str]:
        log = product.folder / "points"
        done = subprocess.run(
            [sys.executable, str(KILLER), str(fatal), str(log), "--", self.verb, "--yes"],
            cwd=product.folder,
            env=product.environment(),
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert log.exists(), done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, log.read_text().splitlines(), done.stderr

    def undisturbed(self) -> tuple[list[str], dict]:
        product = self.begin("undisturbed")
        code, points, said = self.run(product, 0)
        assert code == 0, (points, said)
        return points, settled(self.testbed)

    def killed(self, number: int, name: str, expected: dict) -> str:
        """Empty when the run killed at this point, once resumed, ends like an undisturbed one; else what is wrong."""
        product = self.begin(f"killed-{number}")
        code, points, said = self.run(product, number)
        if code != -signal.SIGKILL:
            return f"{name}: was not killed ({code}): {points[-3:]}: {said[-400:]}"
        resumed = product.run("apply", "--resume", "--yes")
        if "there is no unfinished run" in resumed.stderr and name in NOTHING_OPEN:
            resumed = product.run(self.verb, "--yes")
        if resumed.returncode:
            return f"{name}: resume: {resumed.stderr.strip()}"
        left, end = differences(expected, snapshot(self.testbed)), time.monotonic() + SETTLES
        while left and time.monotonic() < end:
            time.sleep(1)
            left = differences(expected, snapshot(self.testbed))
        return f"{name}: not as after an undisturbed run: {left}{self._kubelets()}" if left else ""

    def _kubelets(self) -> str:
        """What the kubelets said last of device plugins."""
        logs = sorted((self.testbed.settings.state / "log").glob("*.kubelet.log"))
        said = {log.name: [line for line in log.read_text().splitlines() if "device plugin" in line] for log in logs}
        return "".join(f"\n  {name}: {line[:250]}" for name, lines in said.items() for line in lines[-4:])


def _every_point(life: Life, share: int) -> None:
    points, expected = life.undisturbed()
    mine = [(number, name) for number, name in enumerate(points, 1) if number % SHARES == share]
    wrong = [life.killed(number, name, expected) for number, name in mine]
    assert not any(wrong), "\n".join(w for w in wrong if w)
    assert {p.split()[0] for p in points} >= {"intent", "act", "receipt", "waited", "end", "lock", "journal", "note"}


by_share = pytest.mark.parametrize("share", range(SHARES))


@by_share
def test_up_killed_at_every_point(testbed: Testbed, image: str, tmp_path: Path, share: int) -> None:
    testbed.snapshot("bare")
    _every_point(Life(testbed, image, tmp_path, "bare", "up"), share)
    testbed.restore("bare")


@by_share
def test_uninstall_killed_at_every_point(testbed: Testbed, image: str, tmp_path: Path, share: int) -> None:
    testbed.snapshot("bare")
    product = Gpuready(testbed, tmp_path, image, testbed.kubeconfig)
    product.ok("up", "--yes")
    testbed.snapshot("installed")
    _every_point(Life(testbed, image, tmp_path, "installed", "uninstall"), share)
    testbed.restore("bare")
