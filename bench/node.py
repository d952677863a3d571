"""What the product takes on two real kubelets, each figure beside its floor, both measured in the same run.

usage: python -m testbed --name bench up --nodes 2 --replay node1=CAPTURE --replay node2=CAPTURE
       python -m testbed --name bench exec -- .venv/bin/python bench/node.py [--minutes 10] [--json FILE]
       python -m testbed --name bench down

It begins on bare nodes and leaves them bare, but for the floor's own resource (0) in node1's capacity.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.floor_plugin import DEVICE, RESOURCE, SOCKET
from bench.rows import Row, machine, show
from gpuready.adapters.interpreter import EXECUTABLE
from gpuready.model.names import NAMESPACE
from testbed import Node, Testbed, TestbedError
from testbed.space import wait_for
from tests.cluster import agent
from tests.cluster.product import GPUREADY, Gpuready

Json = dict[str, Any]
Pieces = dict[str, float]
CALLS = 500
SCRAPE_EVERY = 15.0
MEMORY_LIMIT_MIB = 80
TRIVIAL = "trivial plugin"
STEP = re.compile(r"\[ *\d+/\d+\] (?P<verb>\w+) (?P<target>\S+)?.* \.\.\. done(?: (?P<seconds>[\d.]+) s)?")
DAEMONSET = "/apis/apps/v1/namespaces/default/daemonsets/bench-floor"


def say(line: str) -> None:
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def median(values: list[float]) -> float:
    return statistics.median(values)


def spread(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}, n = {len(values)}"


# up on two nodes


def bare_daemonset(testbed: Testbed, image: str) -> float:
    """Seconds from the creation of a DaemonSet of this image, which does nothing, until it is Ready on every node."""
    name = {"app": "bench-floor"}
    idle = [EXECUTABLE, "-I", "-S", "-c", "import signal; signal.pause()"]
    pod = {"terminationGracePeriodSeconds": 0, "containers": [{"name": "main", "image": image, "command": idle}]}
    template = {"metadata": {"labels": name}, "spec": pod}
    metadata = {"name": "bench-floor", "namespace": "default"}
    spec = {"selector": {"matchLabels": name}, "template": template}
    manifest = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec}
    began = time.monotonic()
    testbed.run(
        ["kubectl", "create", "-f", "-"], input=json.dumps(manifest), text=True, check=True, stdout=subprocess.DEVNULL
    )
    for _ in wait_for("the bare DaemonSet is Ready on every node", 120, 0.05):
        status = (testbed.control.object(DAEMONSET) or {}).get("status", {})
        if status.get("numberReady") == len(testbed.nodes):
            break
    took = time.monotonic() - began
    testbed.kubectl("delete", "daemonset", "bench-floor", "--cascade=foreground")
    return took


def up(product: Gpuready) -> Pieces:
    """Seconds of `gpuready up --yes` from bare nodes to its verdict, and of its parts as it tells them."""
    began = last = time.monotonic()
    parts = dict.fromkeys(("look", "create", "first agent", "first computes", "other agent"), 0.0)
    command = [GPUREADY, "up", "--yes", "--image", product.image]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=product.folder, env=product.environment(), stdout=pipe, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        lines = []
        for line in process.stdout:
            lines.append(line)
            if match := STEP.match(line):
                last = time.monotonic()
                parts[_part(match, parts)] += float(match["seconds"] or 0)
    whole = time.monotonic() - began
    if process.returncode != 0:
        raise TestbedError(f"gpuready up: exit {process.returncode}: {''.join(lines)[-2000:]}")
    parts["verify"] = time.monotonic() - last
    return {"whole": whole, **parts, "rest": whole - sum(parts.values())}


def _part(match: re.Match[str], parts: Pieces) -> str:
    named = {"look": "look", "compute": "first computes"}
    if match["verb"] == "label":
        return "other agent" if parts["first agent"] else "first agent"
    return named.get(match["verb"], "create")


def measure_up(product: Gpuready, rounds: int) -> list[Row]:
    """In turns. The image is on the nodes by then: a bare DaemonSet has pulled it, from a registry on this machine."""
    testbed = product.testbed
    pulled = bare_daemonset(testbed, product.image)
    floors: list[float] = []
    taken: list[Pieces] = []
    for number in range(1, rounds + 1):
        floors.append(bare_daemonset(testbed, product.image))
        with tempfile.TemporaryDirectory() as folder:
            taken.append(up(Gpuready(testbed, Path(folder), product.image, product.kubeconfig)))
        say(f"round {number}: bare DaemonSet {floors[-1]:.1f} s, up {taken[-1]['whole']:.1f} s")
        if number < rounds:
            product.ok("uninstall", "--yes")
    middle = {part: median([pieces[part] for pieces in taken]) for part in taken[0]}
    words = {
        "look": "look at both nodes",
        "create": "create the agent's objects",
        "first agent": "first node: agent up, GPU allocatable",
        "first computes": "first node: a pod computes",
        "other agent": "other node: agent up, GPUs allocatable",
        "verify": "verify: a pod on each node computes",
        "rest": "start, facts, plan, journal",
    }
    whole = [pieces["whole"] for pieces in taken]
    of = "bare DaemonSet"
    rows = [
        Row("bare DaemonSet of the image, pulled first", pulled, "s", note="n = 1"),
        Row("bare DaemonSet of the image, there by now", median(floors), "s", note=spread(floors)),
        Row("up, 2 nodes, to the verdict", median(whole), "s", median(floors), of, spread(whole)),
    ]
    return rows + [Row(f"  {text}", middle[part], "s") for part, text in words.items()]


# from start to allocatable


@dataclass
class Allocatable:
    """What the API says a node has to give, by a watch: every change with its time (epoch)."""

    testbed: Testbed
    node: str
    changes: list[tuple[float, Json]] = field(default_factory=list)

    def __enter__(self) -> Allocatable:
        path = 'jsonpath={.status.allocatable}{"\\n"}'
        command, env = self.testbed.command(["kubectl", "get", "node", self.node, "--watch", "-o", path])
        self._process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self.changes.append((time.time(), json.loads(line)))

    def wait(self, resource: str, value: str, after: float) -> float:
        """When the first change after a time says so; TestbedError after a minute."""
        for _ in wait_for(f"{self.node} has {value} {resource}", 60, 0.02):
            for at, found in list(self.changes):
                if at > after and found.get(resource, "0") == value:
                    return at
        raise AssertionError  # wait_for raises when the time is over


@contextmanager
def floor_plugin(node: Node) -> Iterator[tuple[int, Json]]:
    """The trivial plugin on a node's kubelet: its pid, and when it called Register and was accepted."""
    command = [
        sys.executable,
        "-I",
        str(Path(__file__).with_name("floor_plugin.py")),
        str(node.root) + agent.SOCKETS,
    ]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        assert process.stdin
        try:
            line = process.stdout.readline()
            if not line:
                raise TestbedError("the trivial plugin could not register with the kubelet")
            yield process.pid, json.loads(line)
        finally:
            process.stdin.close()


def start_floor(node: Node, seen: Allocatable) -> Pieces:
    with floor_plugin(node) as (pid, at):
        began = agent.started_at(pid)
        there = seen.wait(RESOURCE, "1", at["calls"])
        ended = time.time()
    seen.wait(RESOURCE, "0", ended)
    return {
        "registered": at["accepted"] - began,
        "allocatable": there - began,
        "after Register": there - at["calls"],
    }


def start_agent(testbed: Testbed, node: Node, seen: Allocatable) -> Pieces:
    """Of a new pod: its predecessor is deleted first, and the kubelet is back at 0."""
    name = agent.agent_pod(testbed, node.name)["metadata"]["name"]
    deleted = time.time()
    testbed.kubectl("delete", "pod", name, "-n", NAMESPACE)
    seen.wait(agent.RESOURCE, "0", deleted)
    registered = None
    for _ in wait_for(f"the agent on {node.name} is registered", 60, 0.1):
        if registered := agent.said_at(node, "registered", deleted):
            break
    assert registered
    there = seen.wait(agent.RESOURCE, "1", registered)
    began = agent.started_at(agent.agent_pid(testbed, node.name))
    return {
        "registered": registered - began,
        "allocatable": there - began,
        "after Register": there - registered,
    }


def measure_start(testbed: Testbed, rounds: int) -> list[Row]:
    """Agent and trivial plugin in turns on node1, where one GPU makes 1 allocatable.

    The kubelet reports its node at regular times. Both begin at times spread evenly over its period, or each would meet
    it at the phase in which the other has left it.
    """
    node = testbed.node("node1")
    period = float(testbed.settings.status_every.removesuffix("s"))
    ours: list[Pieces] = []
    floor: list[Pieces] = []
    with Allocatable(testbed, node.name) as seen:
        for number in range(1, rounds + 1):
            time.sleep(period * number / rounds)
            floor.append(start_floor(node, seen))
            time.sleep(period * number / rounds)
            ours.append(start_agent(testbed, node, seen))
            say(f"round {number}: {TRIVIAL} {_said(floor[-1])}; agent {_said(ours[-1])}")

    def values(of: list[Pieces], part: str) -> list[float]:
        return [pieces[part] for pieces in of]

    kubelet = values(floor, "after Register")
    its, all_ours = values(floor, "registered"), values(ours, "registered")
    whole, waited = values(ours, "allocatable"), values(ours, "after Register")
    least = "kubelet's floor"
    beside = f"{spread(whole)}; {TRIVIAL}: {median(values(floor, 'allocatable')):.2f} s"
    return [
        Row("kubelet: Register to allocatable", median(kubelet), "s", note=spread(kubelet)),
        Row(f"{TRIVIAL}: start to registered", median(its), "s", note=spread(its)),
        Row("agent: start to registered", median(all_ours), "s", median(its), TRIVIAL, spread(all_ours)),
        Row("agent: registered to allocatable", median(waited), "s", median(kubelet), least, spread(waited)),
        Row("agent: start to allocatable", median(whole), "s", median(kubelet), least, beside),
    ]


def _said(pieces: Pieces) -> str:
    return ", ".join(f"{name} {value:.2f} s" for name, value in pieces.items())


# Allocate, memory, processor


def measure_allocate(testbed: Testbed) -> list[Row]:
    """Calls to both sockets in turns, without a kubelet between."""
    node = testbed.node("node1")
    page = json.loads(fetch(testbed, node.name, "/gpus"))
    ours, theirs = agent.plugin_socket(node), node.root / agent.SOCKETS.lstrip("/") / SOCKET
    with floor_plugin(node):
        taken = agent.allocate_seconds({ours: page["gpus"][0]["uuid"], theirs: DEVICE}, CALLS)
    rows = []
    for name, part in (("p50", 0.5), ("p99", 0.99)):
        mine, floor = (1000 * agent.percentile(taken[path], part) for path in (ours, theirs))
        rows.append(Row(f"Allocate {name}", mine, "ms", floor, TRIVIAL, f"{floor:.2f} ms; {CALLS} calls each"))
    return rows


def fetch(testbed: Testbed, node: str, path: str) -> str:
    """A page of the agent on a node, from its pod's address."""
    for _ in wait_for(f"the agent's pod on {node} has an address", 30):
        if address := agent.agent_pod(testbed, node)["status"].get("podIP"):
            break
    with urllib.request.urlopen(f"http://{address}:{agent.METRICS_PORT}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def memory(pids: list[int]) -> Pieces:
    """Of all these processes together, in MiB."""
    each = [agent.memory_mib(pid) for pid in pids]
    return {name: sum(found[name] for found in each) for name in each[0]}


def measure_use(testbed: Testbed, minutes: float) -> list[Row]:
    """Both agents at work, scraped like by Prometheus; the trivial plugin idles beside them."""
    nodes = [node.name for node in testbed.nodes]
    with floor_plugin(testbed.node("node1")) as (floor_pid, _):
        pids = {name: agent.agent_processes(testbed, name) for name in nodes}
        before = {name: sum(map(agent.cpu_seconds, pids[name])) for name in nodes}
        began, scrapes = time.monotonic(), 0
        while (due := began + scrapes * SCRAPE_EVERY) <= began + minutes * 60:
            time.sleep(max(0.0, due - time.monotonic()))
            gpus = {name: fetch(testbed, name, "/metrics").count("\nDCGM_FI_DEV_GPU_TEMP{") for name in nodes}
            scrapes += 1
        time.sleep(max(0.0, began + minutes * 60 - time.monotonic()))
        whole = time.monotonic() - began
        least = memory([floor_pid])
        rows = [Row(f"{TRIVIAL}: RSS, idle", least["VmRSS"], "MiB", note=f"PSS {least['Pss']:.1f} MiB")]
        for name in nodes:
            if agent.agent_processes(testbed, name) != pids[name]:
                raise TestbedError(f"the agent on {name} was started anew while it was measured")
            found = memory(pids[name])
            spent = sum(map(agent.cpu_seconds, pids[name])) - before[name]
            rows += use_rows(
                f"agent, {gpus[name]} GPU{'s' * (gpus[name] != 1)}",
                found,
                least,
                spent,
                whole,
                scrapes,
                len(pids[name]),
            )
    return rows


def use_rows(
    who: str, found: Pieces, least: Pieces, spent: float, whole: float, scrapes: int, processes: int
) -> list[Row]:
    most = found["VmHWM"]
    limit = f"at most {most:.1f}, {'below' if most < MEMORY_LIMIT_MIB else 'ABOVE'} the limit of {MEMORY_LIMIT_MIB}"
    many = f"{processes} process{'es' * (processes != 1)}"
    return [
        Row(f"{who}: RSS", found["VmRSS"], "MiB", least["VmRSS"], TRIVIAL, f"{limit}; {many}"),
        Row(f"{who}: PSS", found["Pss"], "MiB", least["Pss"], TRIVIAL),
        Row(
            f"{who}: CPU",
            100 * spent / whole,
            "%",
            note=f" of one core, {spent:.1f} s in {whole:.0f} s, {scrapes} scrapes",
        ),
    ]


def about(testbed: Testbed) -> str:
    """What the nodes and their GPUs are; a replay is called one."""
    given = testbed.settings.gpus
    gpus = "; ".join(f"{n}: {'the machine' if g.machine else Path(g.capture or '?').stem}" for n, g in given.items())
    what = "GPUs" if any(g.machine for g in given.values()) else "replayed GPUs (NVML answers from a file, no driver)"
    every = testbed.settings.status_every
    return f"Kubernetes {testbed.settings.kubernetes}, {what}: {gpus}; kubelets report every {every}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Figures of gpuready on two real kubelets, beside their floors.")
    parser.add_argument("--minutes", type=float, default=10, help="how long memory and CPU are watched")
    parser.add_argument("--rounds", type=int, default=11, help="starts of the agent and of the trivial plugin")
    parser.add_argument("--ups", type=int, default=3, help="rounds of up, each from bare nodes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    options = parser.parse_args()
    testbed = Testbed.attach()
    head = [f"at the start: {machine()}", about(testbed)]
    with tempfile.TemporaryDirectory() as folder:
        product = Gpuready(testbed, Path(folder), "", testbed.kubeconfig)
        pushed = product.ok("image", "push", "--plain-http", f"{testbed.registry}/gpuready:bench")
        product.image = pushed.strip().splitlines()[-1]
        try:
            rows = measure_up(product, options.ups)
            rows += measure_start(testbed, options.rounds)
            rows += measure_allocate(testbed)
            rows += measure_use(testbed, options.minutes)
        finally:
            product.run("uninstall", "--yes")
    show([*head, f"at the end: {machine()}"], rows, options.json)


if __name__ == "__main__":
    main()
