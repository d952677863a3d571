"""How long the command takes to start, as ratios against its floor, all interleaved in one run.

usage: python bench/start.py [ROUNDS]
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GPUREADY = str(Path(sys.executable).with_name("gpuready"))
FLOOR = "python -c pass"


def kubeconfig(folder: str) -> str:
    """Leads to a port that nobody listens at: everything up to the first answer of a cluster is measured."""
    path = Path(folder) / "kubeconfig"
    path.write_text(
        '{"apiVersion":"v1","kind":"Config","current-context":"c",'
        '"clusters":[{"name":"c","cluster":{"server":"http://127.0.0.1:9"}}],'
        '"users":[{"name":"u","user":{}}],"contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}]}'
    )
    return str(path)


def commands(config: str) -> dict[str, list[str]]:
    out = {
        FLOOR: [sys.executable, "-c", "pass"],
        "gpuready --help": [GPUREADY, "--help"],
        "gpuready plan, no cluster": [GPUREADY, "plan", "--image", "x", "--kubeconfig", config],
    }
    kubectl = shutil.which("kubectl")
    return {**out, "kubectl version --client": [kubectl, "version", "--client"]} if kubectl else out


def seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - began


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    with tempfile.TemporaryDirectory() as folder:
        todo = commands(kubeconfig(folder))
        taken: dict[str, list[float]] = {name: [] for name in todo}
        for _ in range(rounds):
            for name, command in todo.items():
                taken[name].append(seconds(command))
    floor = statistics.median(taken[FLOOR])
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, median of {rounds} rounds, interleaved")
    for name, values in taken.items():
        median = statistics.median(values)
        print(f"{name:28} {median * 1000:6.0f} ms   {median / floor:5.1f} x {FLOOR}")


if __name__ == "__main__":
    main()
