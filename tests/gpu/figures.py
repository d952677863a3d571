"""What is measured on one driver root: metrics and labels beside nvidia-smi, times, memory, faults."""

from __future__ import annotations

import os
import signal
import statistics
import time
from pathlib import Path
from typing import Any

from tests.cluster import agent
from tests.gpu import smi
from tests.gpu.cluster import Cluster, pod
from tests.gpu.record import Failed, Record
from tests.gpu.timeline import Timeline

CALLS = 1000
MEMORY_LIMIT_MIB = 80


def metrics(cluster: Cluster, record: Record, source: smi.Smi, out: Path) -> None:
    """Scrape, nvidia-smi, scrape: each series lies between its two scrapes, as near as its unit moves."""
    with record.step("metrics of an idle GPU beside nvidia-smi") as step:
        before, theirs, after = cluster.metrics(), source.read(), cluster.metrics()
        out.write_text(after)
        step.said = _compared(record, "metrics, idle", before, theirs, after)
        step.evidence["nvidia-smi"] = {key: value for key, value in theirs.items() if key != "uuid"}


def _compared(record: Record, group: str, before: str, theirs: dict[str, str], after: str) -> str:
    rows = smi.compare_metrics(before, theirs, after)
    for row in rows:
        record.compared(group, row)
    same, wrong = ([row["name"] for row in rows if row["same"] is value] for value in (True, False))
    said = f"{len(same)} of {len(same) + len(wrong)} series that nvidia-smi shows agree"
    return f"{said}; differ: {', '.join(map(str, wrong))}" if wrong else said


def labels(cluster: Cluster, record: Record, source: smi.Smi) -> None:
    with record.step("labels beside nvidia-smi") as step:
        theirs = source.read()
        found = {key: value for key, value in cluster.labels().items() if key.startswith("nvidia.com/")}
        wanted = smi.expected_labels(theirs, int(theirs["count"]), smi.dmi_name())
        for key in sorted(found.keys() | wanted.keys()):
            same = found.get(key) == wanted[key] if key in wanted else None
            row = {"name": key, "ours": found.get(key, "-"), "theirs": wanted.get(key, "no counterpart"), "same": same}
            record.compared("labels", row)
        wrong = [key for key in wanted if found.get(key) != wanted[key]]
        step.said = f"{len(wanted) - len(wrong)} of {len(wanted)} agree"
        if wrong:
            step.said += "; differ: " + ", ".join(f"{key}={found.get(key)}, not {wanted[key]}" for key in wrong)


def attribution(cluster: Cluster, record: Record, source: smi.Smi, image: str) -> None:
    """While a pod computes: its names stand on the GPU's series, in status, and the values under load agree too."""
    holder = pod("trainer", image, ["12"], command=["/vadd"])
    with record.step("a computing pod is on its GPU's series and in status") as step:
        cluster.create(holder)
        try:
            cluster.wait_phase("trainer", ("Running",))
            time.sleep(4)  # utilisation is an average over the last second; clocks and power rise first
            before, theirs, after = cluster.metrics(), source.read(), cluster.metrics()
            said = _compared(record, "metrics, computing", before, theirs, after)
            found = smi.parse(after)["DCGM_FI_DEV_FB_USED"][0][0]
            status = cluster.json("status")
        finally:
            cluster.delete("trainer")
        names = {key: found.get(key, "") for key in ("namespace", "pod", "container")}
        held = [row["heldBy"] for row in status["rows"]]
        step.evidence |= {"labels of the series": names, "status": held}
        if names != {"namespace": "default", "pod": "trainer", "container": "main"} or held != ["default/trainer"]:
            raise Failed(f"the series say {names}, status says {held}")
        step.said = f"namespace, pod and container on the series; status: held by default/trainer; {said}"


def allocate(cluster: Cluster, record: Record) -> None:
    """The plugin's own answer over its socket, without a kubelet; and its histogram of the kubelet's calls."""
    with record.step(f"Allocate, {CALLS} calls over the plugin's socket") as step:
        buckets = smi.parse(cluster.metrics())
        count = buckets["gpuready_allocate_seconds_count"][0][1]
        total = buckets["gpuready_allocate_seconds_sum"][0][1]
        uuid = next(iter(cluster.cdi()["devices"]))["name"]
        socket = agent.plugin_socket(cluster.node)
        taken = agent.allocate_seconds({socket: uuid}, CALLS)[socket]
        p50, p99 = statistics.median(taken), agent.percentile(taken, 0.99)
        after = smi.parse(cluster.metrics())
        for name, value, part in (("p50", p50, 0.5), ("p99", p99, 0.99)):
            note = f"{CALLS} calls, one after the other, from call to answer"
            record.figure(f"Allocate {name}", round(1000 * value, 2), "ms", note)
            note = "the same calls by the agent's histogram: the bucket's upper bound"
            record.figure(f"Allocate {name} in the agent", _quantile(buckets, after, part), "ms at most", note)
        if count:
            note = f"mean of the {count:.0f} calls that the kubelet made, by the agent's histogram"
            record.figure("Allocate asked by the kubelet", round(1000 * total / count, 2), "ms", note)
        step.said = f"p50 {1000 * p50:.2f} ms, p99 {1000 * p99:.2f} ms, longest {1000 * max(taken):.2f} ms"


def _quantile(before: smi.Page, after: smi.Page, part: float) -> float:
    """The upper bound, in ms, of the bucket in which this part of the calls between two pages is reached."""
    name = "gpuready_allocate_seconds_bucket"
    counts = [new - old for (_, old), (_, new) in zip(before[name], after[name], strict=True)]
    reached = next(i for i, count in enumerate(counts) if count >= part * counts[-1])
    return 1000 * float(after[name][reached][0]["le"])


def start(cluster: Cluster, record: Record) -> None:
    """From the agent's first start, which `up` has waited for, by the runtime's time stamps."""
    with record.step("agent: start to registered") as step:
        began = agent.started_at(agent.agent_pid(cluster.testbed))
        events = {"its first line": "starting", "registered": "registered"}
        named = {name: agent.said_at(cluster.node, event) for name, event in events.items()}
        for name, at in named.items():
            if at is None:
                raise Failed(f"the agent's log does not say {name}")
            record.figure(f"agent: process start to {name}", round(at - began, 2), "s")
        step.said = "; ".join(f"{name} after {at - began:.2f} s" for name, at in named.items() if at)


def use(cluster: Cluster, record: Record, source: smi.Smi, seconds: float) -> None:
    """Memory and processor of the agent while it is scraped every 15 s; and its energy counter against the power."""
    with record.step(f"agent: memory and processor over {seconds:.0f} s, a scrape every 15 s") as step:
        pid = agent.agent_pid(cluster.testbed)
        began, spent = time.monotonic(), agent.cpu_seconds(pid)
        readings: list[dict[str, float]] = []
        while True:
            page = smi.parse(cluster.metrics())
            named = {name: page[f"DCGM_FI_DEV_{name}"][0][1] for name in ("TOTAL_ENERGY_CONSUMPTION", "POWER_USAGE")}
            power = smi.number(source.read().get("power.draw"))
            readings.append({**named, "at": time.monotonic(), "theirs": power or 0.0})
            if time.monotonic() - began >= seconds:
                break
            time.sleep(min(15, max(0.1, seconds - (time.monotonic() - began))))
        whole = time.monotonic() - began
        share = 100 * (agent.cpu_seconds(pid) - spent) / whole
        memory = agent.memory_mib(pid)
        record.figure("agent: resident memory", memory["VmRSS"], "MiB", f"most so far {memory['VmHWM']} MiB")
        record.figure("agent: memory of its own (RssAnon)", memory["RssAnon"], "MiB")
        record.figure("agent: processor", round(share, 2), "% of one core", f"over {whole:.0f} s, a scrape every 15 s")
        _energy(record, readings)
        step.said = f"{memory['VmRSS']} MiB resident, {share:.2f} % of one core"
        if memory["VmHWM"] >= MEMORY_LIMIT_MIB:
            raise Failed(f"{step.said}; at most {memory['VmHWM']} MiB, which is not below {MEMORY_LIMIT_MIB} MiB")


def _energy(record: Record, readings: list[dict[str, float]]) -> None:
    first, last = readings[0], readings[-1]
    joules = (last["TOTAL_ENERGY_CONSUMPTION"] - first["TOTAL_ENERGY_CONSUMPTION"]) / 1000
    ours = joules / (last["at"] - first["at"])
    theirs = statistics.mean(reading["theirs"] for reading in readings)
    row: dict[str, Any] = {"name": "TOTAL_ENERGY_CONSUMPTION, its rate in W", "ours": round(ours, 2), "later": "-"}
    row |= {"field": "power.draw", "theirs": round(theirs, 2), "same": abs(ours - theirs) <= 0.1 * theirs + 2}
    record.compared("metrics, idle", {**row, "why": "nvidia-smi's power, the mean of a few readings"})


def kubelet_restart(cluster: Cluster, record: Record) -> None:
    """A restarted kubelet forgets its plugins. Its own start and its status period (1 s here) are shown apart."""
    with record.step("kubelet killed and started: GPU allocatable again") as step, Timeline(cluster) as line:
        time.sleep(0.5)
        killed = time.time()
        cluster.node.stop_kubelet()
        cluster.node.start_kubelet()
        serving = time.time()
        registered = _said(cluster, "registered", killed)
        back = line.wait("allocatable", "1", max(registered, serving))
        record.figure("kubelet: killed to serving again", round(serving - killed, 2), "s", "the kubelet's own floor")
        record.figure("kubelet: serving to agent registered", round(registered - serving, 2), "s")
        record.figure(
            "kubelet: killed to GPU allocatable", round(back - killed, 2), "s", "the kubelet reports its node every 1 s"
        )
        step.evidence["timeline"] = line.shown(killed)
        step.said = _times(killed, serving=serving, registered=registered, allocatable=back)


def agent_kill(cluster: Cluster, record: Record) -> None:
    with record.step("agent killed with SIGKILL: GPU allocatable again") as step, Timeline(cluster) as line:
        time.sleep(0.5)
        pid, killed = agent.agent_pid(cluster.testbed), time.time()
        os.kill(pid, signal.SIGKILL)
        registered = _said(cluster, "registered", killed)
        back = line.wait("allocatable", "1", registered)
        began = agent.started_at(agent.agent_pid(cluster.testbed))
        record.figure(
            "agent: killed to started by the kubelet", round(began - killed, 2), "s", "the kubelet's own floor"
        )
        record.figure("agent: killed to registered", round(registered - killed, 2), "s")
        record.figure("agent: killed to GPU allocatable", round(back - killed, 2), "s")
        note = "the kubelet reports its node every 1 s"
        record.figure("agent: registered to GPU allocatable", round(back - registered, 2), "s", note)
        step.evidence["timeline"] = line.shown(killed)
        step.said = _times(killed, started=began, registered=registered, allocatable=back)


def _times(since: float, **moments: float) -> str:
    return ", ".join(f"{name} {at - since:.2f} s" for name, at in moments.items())


def _said(cluster: Cluster, event: str, after: float) -> float:
    end = time.monotonic() + 60
    while (at := agent.said_at(cluster.node, event, after)) is None:
        if time.monotonic() > end:
            raise Failed(f"the agent has not said {event!r} within 60 s")
        time.sleep(0.1)
    return at
