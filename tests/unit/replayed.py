"""Processes with pynvml on a replayed driver library, for the tests of replay and capture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # the package `testbed` is beside the tests and not installed

from testbed import capture
from testbed.replay import ReplayedNode

ROOT = Path(capture.__file__).resolve().parent.parent
CAPTURES = sorted((ROOT / "testbed" / "captures").glob("*.json"))
H100, EIGHT, MIG = (ROOT / "testbed" / "captures" / f"constructed-{n}.json" for n in ("1xh100", "8xh100", "1xa100-mig"))

IDENTITY = """
def identity(device):
    ask = lambda name: getattr(n, "nvmlDeviceGet" + name)(device)
    return {"uuid": ask("UUID"), "name": ask("Name"), "memory": ask("MemoryInfo").total}
def gpu(i):
    device = n.nvmlDeviceGetHandleByIndex(i)
    migs = []
    for k in range(n.nvmlDeviceGetMaxMigDeviceCount(device)):
        try:
            mig = n.nvmlDeviceGetMigDeviceHandleByIndex(device, k)
        except n.NVMLError_NotFound:
            continue
        gi, ci = n.nvmlDeviceGetGpuInstanceId(mig), n.nvmlDeviceGetComputeInstanceId(mig)
        migs.append(identity(mig) | {"gi": gi, "ci": ci})
    info = n.nvmlDeviceGetPciInfo(device)
    return identity(device) | {"index": n.nvmlDeviceGetIndex(device), "minor": n.nvmlDeviceGetMinorNumber(device),
        "pci": "%04x:%02x:%02x.0" % (info.domain, info.bus, info.device), "serial": n.nvmlDeviceGetSerial(device),
        "compute": list(n.nvmlDeviceGetCudaComputeCapability(device)), "mig": migs}
say([gpu(i) for i in range(n.nvmlDeviceGetCount())])
"""
PRELUDE = """
import ctypes, json, sys
import pynvml as n
def say(value): print(json.dumps(value), flush=True)
def outcome(name, *args):
    try:
        getattr(n, name)(*args)
    except n.NVMLError as e:
        return e.value
    return 0
"""


def start(node: ReplayedNode, code: str) -> subprocess.Popen[str]:
    environment = {"PATH": os.environ["PATH"], "LD_LIBRARY_PATH": str(node.driver / "lib64")}
    command = [sys.executable, "-c", PRELUDE + code]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, **pipes)


def said(process: subprocess.Popen[str]) -> list[Any]:
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    return [json.loads(line) for line in out.splitlines()]


def ask(node: ReplayedNode, code: str, init: bool = True) -> Any:
    """The last thing that the code says, with pynvml on the replayed library."""
    return said(start(node, ("n.nvmlInit()\n" if init else "") + code))[-1]
