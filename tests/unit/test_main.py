"""`python -m gpuready` as the first process of a container."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

BUSY = """
import runpy, time
import gpuready.cli.main
gpuready.cli.main.main = lambda: (print("starting", flush=True), time.sleep(60))
runpy.run_module("gpuready", run_name="__main__")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="a PID namespace needs root")
def test_a_signal_while_it_starts_ends_it() -> None:
    """The kernel drops SIGTERM for a PID 1 without a handler: a deleted pod would wait out its grace period."""
    command = ["unshare", "--pid", "--fork", "--kill-child", sys.executable, "-c", BUSY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as outside:
        assert outside.stdout is not None
        assert outside.stdout.readline() == "starting\n"
        first = int(Path(f"/proc/{outside.pid}/task/{outside.pid}/children").read_text())
        os.kill(first, signal.SIGTERM)
        assert outside.wait(10) == 128 + signal.SIGTERM
