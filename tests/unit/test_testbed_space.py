"""Which processes are a space's own: `destroy` ends those, whoever started them, and no others."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.space import INIT, Space

Started = subprocess.Popen[bytes]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[dict[str, Started]]:
    """Processes that look like PID 1 of a space, by sentence."""
    state = str(tmp_path)
    words = {
        "of this checkout": (str(INIT), state, "testbed"),
        "of another checkout": ("/elsewhere/testbed/init.py", state, "testbed"),
        "another space of the testbed": (str(INIT), state, "node1"),
        "another testbed": (str(INIT), f"{state}-2", "testbed"),
        "another program": ("/elsewhere/editor.py", state, "testbed"),
    }
    sleep = [sys.executable, "-I", "-S", "-c", "import time; print(flush=True); time.sleep(60)"]
    found = {name: subprocess.Popen([*sleep, *argv], stdout=subprocess.PIPE) for name, argv in words.items()}
    for process in found.values():
        assert process.stdout is not None
        process.stdout.readline()  # its arguments are there once it has said something
    yield found
    for process in found.values():
        process.kill()
        process.communicate()


def test_a_space_is_ended_from_any_checkout(tmp_path: Path, started: dict[str, Started]) -> None:
    Space(tmp_path, "testbed").destroy()
    assert {name for name, process in started.items() if process.poll() is not None} == {
        "of this checkout",
        "of another checkout",
    }
