"""How long the command takes to start, as ratios against its floor, all interleaved in one run.

As on a user's machine, the byte code is there: pip writes it when it installs. Here a round that is not counted writes
it to a temporary folder; a checkout would be compiled anew at every start where PYTHONDONTWRITEBYTECODE is set.

usage: python bench/start.py [ROUNDS] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.rows import Row, machine, show

GPUREADY = str(Path(sys.executable).with_name("gpuready"))
FLOOR = "python -c pass"
HELP, PLAN = "gpuready --help", "gpuready plan, no cluster"
WANTED = {HELP: "wanted: below 120 ms", PLAN: "wanted: below 500 ms"}


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
        HELP: [GPUREADY, "--help"],
        PLAN: [GPUREADY, "plan", "--image", "x", "--kubeconfig", config],
    }
    kubectl = shutil.which("kubectl")
    return {**out, "kubectl version --client": [kubectl, "version", "--client"]} if kubectl else out


def environment(folder: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": folder}


def seconds(command: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="How long gpuready takes to start, beside its floor.")
    parser.add_argument("rounds", type=int, nargs="?", default=11)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    head = [f"at the start: {machine()}", f"median of {options.rounds} rounds, interleaved"]
    with tempfile.TemporaryDirectory() as folder:
        todo, env = commands(kubeconfig(folder)), environment(folder)
        for command in todo.values():
            seconds(command, env)
        taken: dict[str, list[float]] = {name: [] for name in todo}
        for _ in range(options.rounds):
            for name, command in todo.items():
                taken[name].append(1000 * seconds(command, env))
    middle = {name: statistics.median(values) for name, values in taken.items()}
    rows = [Row(name, value, "ms", middle[FLOOR], FLOOR, WANTED.get(name, "")) for name, value in middle.items()]
    show([*head, f"at the end: {machine()}"], rows, options.json)


if __name__ == "__main__":
    main()
