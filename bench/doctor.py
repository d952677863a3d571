"""The doctor on a large cluster, beside listing the same objects with plain requests and parsing them with json.

usage, in a testbed: python bench/doctor.py [--nodes 5000] [--pods 50000] [--keep] [--json FILE]

The objects are created through the API and deleted again. Nothing runs: the pods are of nodes that have no kubelet,
one in a hundred of them asks for a GPU and fails. Both sides read from the same API server, in turns, each in a process
of its own, so that the memory beside a time is that of the work.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.rows import Row, machine, show
from gpuready.adapters.kube import Client, connect
from gpuready.model.plan import Ref

Json = dict[str, Any]
NAMESPACE = "bench-doctor"
LABEL = {"bench": "doctor"}
FAILED = 'failed to create containerd task: no runtime for "nvidia" is configured'


def node(number: int) -> tuple[Json, Json]:
    """The object, and its status. One in ten has GPUs."""
    gpu = {"nvidia.com/gpu": "8"} if number % 10 == 0 else {}
    labels = {**LABEL, **({"nvidia.com/gpu.present": "true"} if gpu else {}), "kubernetes.io/os": "linux"}
    meta = {"name": f"bench-{number}", "labels": labels}
    capacity = {"cpu": "64", "memory": "512Gi", "pods": "110", **gpu}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status"}
    obj = {"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"unschedulable": True}}
    return obj, {"conditions": [ready], "capacity": capacity, "allocatable": capacity}


def pod(number: int, nodes: int) -> tuple[Json, Json]:
    """One in a hundred asks for a GPU on a node that has some, and its container cannot start."""
    fails = number % 100 == 0
    limits = {"nvidia.com/gpu": "1"} if fails else {"cpu": "100m", "memory": "128Mi"}
    env = [{"name": f"SETTING_{n}", "value": f"value {n}"} for n in range(8)]
    container = {"name": "main", "image": "registry.example/team/app:1.0", "resources": {"limits": limits}, "env": env}
    spec = {
        "nodeName": f"bench-{number % nodes // 10 * 10 if fails else number % nodes}",
        "containers": [container],
        "automountServiceAccountToken": False,
        "tolerations": [{"operator": "Exists"}],
    }
    meta = {"name": f"bench-{number}", "namespace": NAMESPACE, "labels": {**LABEL, "app": f"app-{number % 500}"}}
    state: Json = {"running": {"startedAt": "2026-11-23T09:00:00Z"}}
    if fails:
        state = {"waiting": {"reason": "CreateContainerError", "message": FAILED}}
    own = {"name": "main", "ready": not fails, "restartCount": 0, "image": "x", "imageID": "x", "state": state}
    status = {"phase": "Pending" if fails else "Running", "containerStatuses": [own]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}, status


def fill(cluster: Client, nodes: int, pods: int) -> None:
    def create(both: tuple[Json, Json]) -> None:
        obj, status = both
        made = cluster.create(obj)
        ref = Ref(api_version="v1", kind=obj["kind"], name=obj["metadata"]["name"], namespace=_namespace(made))
        cluster.patch(ref, {"status": status}, subresource="status")

    cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(create, (node(n) for n in range(nodes))))
        list(pool.map(create, (pod(n, nodes) for n in range(pods))))


def _namespace(obj: Json) -> str:
    return str(obj["metadata"].get("namespace", ""))


def clear(cluster: Client) -> None:
    for kind, path in (("Pod", f"/api/v1/namespaces/{NAMESPACE}/pods"), ("Node", "/api/v1/nodes")):
        refs = [
            Ref(api_version="v1", kind=kind, name=o["metadata"]["name"], namespace=_namespace(o))
            for page in cluster.pages(path, {"limit": "500", "labelSelector": "bench=doctor"})
            for o in json.loads(page)["items"]
        ]
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda ref: cluster.delete(ref, grace=0), refs))
    cluster.delete(Ref(api_version="v1", kind="Namespace", name=NAMESPACE))


# -- the two sides, each in a process of its own


def plain(cluster: Client) -> int:
    """What any client must do: ask for the lists page by page and parse them with json."""
    kept = []
    for path in ("/api/v1/nodes", "/api/v1/pods", "/api/v1/events"):
        more = ""
        while True:
            page = json.loads(cluster.get_raw(path, {"limit": "500", **({"continue": more} if more else {})}))
            kept += page["items"]
            more = page["metadata"].get("continue", "")
            if not more:
                break
    return len(kept)


def doctor(cluster: Client) -> int:
    from gpuready.engine.diagnose import diagnose
    from gpuready.engine.evidence import read_evidence
    from gpuready.model.facts.cluster import Identity

    return len(diagnose(read_evidence(cluster, Identity(uid="x", server=cluster.server))).causes)


SIDES: dict[str, Callable[[Client], int]] = {"plain": plain, "doctor": doctor}


def side(name: str) -> None:
    with connect() as cluster:
        cluster.version()  # connected, so that only the work is timed
        began = time.perf_counter()
        found = SIDES[name](cluster)
        wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"found": found, "wall": wall, "cpu": used.ru_utime + used.ru_stime, "kib": used.ru_maxrss}))


def rounds(number: int) -> Iterator[tuple[str, Json]]:
    for _ in range(number):
        for name in SIDES:
            done = subprocess.run(
                [sys.executable, __file__, "--side", name], capture_output=True, text=True, check=True
            )
            print(name, done.stdout.strip(), flush=True)
            yield name, json.loads(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, default=5000)
    parser.add_argument("--pods", type=int, default=50_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="leave the objects for another run, and use them if there")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=SIDES)
    args = parser.parse_args()
    if args.side:
        side(args.side)
        return
    about = [f"at the start: {machine()}", f"{args.nodes} nodes, {args.pods} pods in the API server"]
    with connect() as cluster:
        if cluster.get(Ref(api_version="v1", kind="Namespace", name=NAMESPACE)) is None:
            fill(cluster, args.nodes, args.pods)
        about.append(f"when they were there: {machine()}")
        try:
            told = list(rounds(args.rounds))
        finally:
            if not args.keep:
                clear(cluster)
    rows = []
    floor = {key: median(one[key] for name, one in told if name == "plain") for key in ("wall", "cpu", "kib")}
    own = {key: median(one[key] for name, one in told if name == "doctor") for key in ("wall", "cpu", "kib")}
    rows.append(Row("listing and parsing with json", floor["wall"], "s", note=f"{floor['cpu']:.1f} s of a core"))
    wanted = f"wanted: below 2 x; {own['cpu']:.1f} s of a core"
    rows.append(Row("doctor", own["wall"], "s", floor["wall"], "listing and parsing", wanted))
    rows.append(Row("listing and parsing: peak RSS", floor["kib"] / 1024, "MiB"))
    rows.append(Row("doctor: peak RSS", own["kib"] / 1024, "MiB", floor["kib"] / 1024, "listing and parsing"))
    show([*about, f"at the end: {machine()}"], rows, args.json)


if __name__ == "__main__":
    main()
