"""`gpuready agent` as a process, on a replayed node, with a kubelet over real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_kubelet import FakeKubelet, FakePodResources, until
from node_builders import NodeFolders, node_folders
from prometheus_client.parser import text_string_to_metric_families

from gpuready.node.cdi import FILE

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="the replayed library is built with gcc")
PROGRAM = [sys.executable, "-c", "from gpuready.cli.main import main; main()", "agent"]
RESIDENT_LIMIT = 80  # MiB


class Running:
    """One agent, its node and its kubelet."""

    def __init__(self, folders: NodeFolders, port: int) -> None:
        self.folders = folders
        self.kubelet = FakeKubelet(folders.plugins)
        self.port = port
        self.process: asyncio.subprocess.Process | None = None
        self.log = folders.kubelet.parent / "log"

    async def start(self, *more: str) -> None:
        with self.log.open("ab") as log:
            arguments = self.folders.arguments(self.port, *more)
            self.process = await asyncio.create_subprocess_exec(*PROGRAM, *arguments, stdout=log, stderr=log)

    async def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(10):
            return await self.process.wait()

    def hang_up(self) -> None:
        """SIGHUP: look again and register again, at once."""
        assert self.process
        self.process.send_signal(signal.SIGHUP)

    async def page(self, path: str) -> tuple[int, str]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return int(head.split()[1]), body.decode()

    async def report(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads((await self.page("/gpus"))[1])
        return told

    async def series(self, name: str) -> list[tuple[dict[str, str], float]]:
        families = text_string_to_metric_families((await self.page("/metrics"))[1])
        return [(s.labels, s.value) for family in families for s in family.samples if s.name == name]

    def health(self) -> str:
        """The last list in one word: a letter for each device, "" for an empty list."""
        return "".join(health[:1] for _, health, _ in self.kubelet.lists[-1]) if self.kubelet.lists else "none yet"

    async def healthy(self, expected: str, seconds: float = 15.0) -> None:
        await until(f"the list {expected}", lambda: self.health() == expected, seconds)

    def events(self) -> list[str]:
        return [json.loads(line)["event"] for line in self.log.read_text().splitlines() if line.startswith("{")]

    def resident_mib(self) -> float:
        assert self.process
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def life(
    root: Path,
    capture: str,
    act: Callable[[Running], Awaitable[None]],
    *more: str,
    kubelet: bool = True,
    prepare: Callable[[NodeFolders], None] | None = None,
) -> None:
    folders = node_folders(root, capture)
    if prepare:
        prepare(folders)

    @asynccontextmanager
    async def setting() -> AsyncIterator[Running]:
        made = Running(folders, free_port())
        if kubelet:
            await made.kubelet.start()
        await made.start(*more)
        try:
            yield made
        except AssertionError as error:
            error.add_note(made.log.read_text())
            raise
        finally:
            await made.end(signal.SIGKILL)
            await made.kubelet.stop()

    async def main() -> None:
        async with setting() as made:
            await act(made)

    asyncio.run(main())


def test_eight_gpus_from_registration_to_the_end(tmp_path: Path) -> None:
    async def act(a: Running) -> None:
        await a.healthy("H" * 8)
        uuids = [gpu["uuid"] for gpu in a.folders.replayed.gpus]
        assert [(uuid, numa) for uuid, _, numa in a.kubelet.lists[0]] == [
            (uuid, index // 4) for index, uuid in enumerate(uuids)
        ]
        held = [("ml", "train-0", "main", "nvidia.com/gpu", [uuids[2]])]
        server = await FakePodResources(held).start(a.folders.kubelet / "pod-resources/kubelet.sock")
        await look_at_pages(a, uuids)
        server.close()
        await allocate_by_cdi(a, uuids)
        await lose_gpus(a, uuids)
        await restart_kubelet(a)
        assert a.resident_mib() < RESIDENT_LIMIT
        await stop(a)

    life(tmp_path, "constructed-8xh100", act)


async def look_at_pages(a: Running, uuids: list[str]) -> None:
    assert [(await a.page(path))[0] for path in ("/health", "/ready", "/nothing")] == [200, 200, 404]
    told = await a.report()
    assert {key: told[key] for key in ("node", "driver", "cuda", "injection", "registered", "replayed")} == {
        "node": "node-1",
        "driver": "580.65.06",
        "cuda": "13.0",
        "injection": "cdi",
        "registered": True,
        "replayed": True,
    }
    holder = [{"namespace": "ml", "pod": "train-0", "container": "main"}]
    seen = [(gpu["uuid"], gpu["health"], gpu["heldBy"]) for gpu in told["gpus"]]
    assert seen == [(uuid, "ok", holder if index == 2 else []) for index, uuid in enumerate(uuids)]
    pods = [(labels["UUID"], labels.get("pod")) for labels, _ in await a.series("DCGM_FI_DEV_FB_USED")]
    assert pods == [(uuid, "train-0" if index == 2 else None) for index, uuid in enumerate(uuids)]
    assert await a.series("gpuready_registered") == [({}, 1.0)]


async def allocate_by_cdi(a: Running, uuids: list[str]) -> None:
    written = json.loads((a.folders.cdi / FILE).read_text())
    assert [device["name"] for device in written["devices"]] == [*uuids, "all"]
    host_paths = {mount["hostPath"] for mount in written["containerEdits"]["mounts"]}
    assert {path for path in host_paths if not (a.folders.host / path.lstrip("/")).is_file()} == set()
    answer = await a.kubelet.allocate([uuids[5]])
    names = [device.name for device in answer.container_responses[0].cdi_devices]
    assert names == [f"{written['kind']}={uuids[5]}"]
    assert set(await a.kubelet.prefer(uuids, [uuids[1]], 4)) <= set(uuids[:4]), "one side of the board"


async def lose_gpus(a: Running, uuids: list[str]) -> None:
    """Xid 31 changes nothing, 79 takes out one, a lost GPU one more; the others are healthy all the time."""
    a.folders.replayed.xid(0, 31)
    a.folders.replayed.xid(5, 79)
    await a.healthy("HHHHHUHH")
    a.folders.replayed.lose(3)
    await a.healthy("HHHUHUHH")
    told = {gpu["uuid"]: gpu["reason"] for gpu in (await a.report())["gpus"] if gpu["health"] == "failed"}
    assert (list(told), told[uuids[3]]) == ([uuids[3], uuids[5]], "the GPU does not answer: GPU is lost")
    assert told[uuids[5]].endswith(": GPU has fallen off the bus")
    xids = {labels["gpu"]: value for labels, value in await a.series("DCGM_FI_DEV_XID_ERRORS")}
    assert {gpu: value for gpu, value in xids.items() if value} == {"0": 31, "5": 79}
    lists = ["".join(health[:1] for _, health, _ in told) for told in a.kubelet.lists]
    assert lists == ["HHHHHHHH", "HHHHHUHH", "HHHUHUHH"]


async def restart_kubelet(a: Running) -> None:
    await a.kubelet.stop()
    assert (await a.page("/ready"))[0] == 503
    a.kubelet.lists.clear()
    await a.kubelet.start()
    began = time.monotonic()
    await a.healthy("HHHUHUHH")
    assert time.monotonic() - began < 10
    await until("ready", lambda: a.kubelet.registered_at)
    assert (await a.page("/ready"))[0] == 200


async def stop(a: Running) -> None:
    began = time.monotonic()
    assert await a.end() == 0
    assert time.monotonic() - began < 10, "well within the 30 s that a pod is given to end"
    await until("the empty list", lambda: () in a.kubelet.lists)
    assert not (a.folders.plugins / "nvidia-gpu.sock").exists()
    assert (a.folders.cdi / FILE).exists(), "a pod that starts meanwhile still finds its device"
    assert a.events()[-2:] == ["empty list sent", "ended"]


def test_without_cdi_the_kubelet_is_given_nodes_and_libraries(tmp_path: Path) -> None:
    async def act(a: Running) -> None:
        await a.healthy("H")
        response = (await a.kubelet.allocate([a.kubelet.lists[-1][0][0]])).container_responses[0]
        assert list(response.cdi_devices) == []
        given = {mount.container_path: mount.host_path for mount in response.mounts}
        real = "/driver/lib64/libcuda.so.580.65.06"
        assert {path: host for path, host in given.items() if path.endswith("/libcuda.so.1")} == {
            "/usr/lib/x86_64-linux-gnu/libcuda.so.1": real,
            "/usr/lib64/libcuda.so.1": real,
        }
        assert given["/usr/bin/nvidia-smi"] == "/driver/bin/nvidia-smi"
        assert "/dev/nvidia0" in {node.container_path for node in response.devices}
        assert dict(response.envs) == {"NVIDIA_VISIBLE_DEVICES": "void"}
        assert os.listdir(a.folders.cdi) == []

    life(tmp_path, "constructed-1xt4", act, "--injection", "devices")


def test_a_fault_outlives_a_killed_agent(tmp_path: Path) -> None:
    async def act(a: Running) -> None:
        await a.healthy("H")
        a.folders.replayed.xid(0, 48)
        await a.healthy("U")
        await a.end(signal.SIGKILL)
        a.kubelet.lists.clear()
        await a.start()
        await a.healthy("U")
        assert [gpu["reason"].endswith("Double Bit ECC Error") for gpu in (await a.report())["gpus"]] == [True]

    life(tmp_path, "constructed-1xt4", act)


def test_a_node_without_gpus_is_registered_with_none(tmp_path: Path) -> None:
    async def act(a: Running) -> None:
        await a.healthy("")
        assert (await a.report())["gpus"] == []
        assert (await a.page("/ready"))[0] == 200

    life(tmp_path, "constructed-none", act)


def test_a_driver_that_comes_later_and_is_replaced(tmp_path: Path) -> None:
    def hide(folders: NodeFolders) -> None:
        (folders.host / "driver").rename(folders.host / "later")

    async def act(a: Running) -> None:
        await a.healthy("")
        told = await a.report()
        assert told["gpus"]["why"].startswith("there is no libnvidia-ml.so.1 in /driver/lib64")
        assert (await a.page("/ready"))[0] == 503
        (a.folders.host / "later").rename(a.folders.host / "driver")
        a.hang_up()
        await a.healthy("H")
        library = (a.folders.host / "driver/lib64/libnvidia-ml.so.1").resolve()
        newer = library.with_name("libnvidia-ml.so.999.1")
        shutil.copy(library, newer)
        link = a.folders.host / "driver/lib64/libnvidia-ml.so.1"
        link.unlink()
        link.symlink_to(newer.name)
        a.hang_up()
        await until("opened anew", lambda: "opening NVML anew" in a.events())
        await until("registered anew", lambda: len(a.kubelet.requests) > 1)
        await a.healthy("H")

    life(tmp_path, "constructed-1xt4", act, prepare=hide)


def test_what_cannot_be_injected_is_not_offered(tmp_path: Path) -> None:
    def spoil(folders: NodeFolders) -> None:
        folders.cdi.rmdir()
        folders.cdi.write_text("a file where the folder should be")

    async def act(a: Running) -> None:
        await a.healthy("U")
        reasons = [gpu["reason"] for gpu in (await a.report())["gpus"]]
        assert reasons == [f"the CDI file {a.folders.cdi / FILE} cannot be written: File exists"]

    life(tmp_path, "constructed-1xt4", act, prepare=spoil)


def test_a_missing_device_node_blocks_its_gpu_and_heals(tmp_path: Path) -> None:
    def spoil(folders: NodeFolders) -> None:
        (folders.host / "dev/nvidia3").unlink()

    async def act(a: Running) -> None:
        await a.healthy("HHHUHHHH")
        (a.folders.host / "dev/nvidia3").touch()
        a.hang_up()
        await a.healthy("H" * 8)

    life(tmp_path, "constructed-8xh100", act, prepare=spoil)


def test_terminated_while_no_kubelet_is_there(tmp_path: Path) -> None:
    async def act(a: Running) -> None:
        await until("waiting", lambda: "not registered" in a.events())
        assert await a.end() == 0
        assert sorted(os.listdir(a.folders.plugins)) == []

    life(tmp_path, "constructed-1xt4", act, kubelet=False)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--node-name", "n"], "error: Missing option '--lib-dir'."),
        (
            ["--lib-dir", "/x", "--node-name", "n", "--listen", "9x"],
            "error: Invalid value for --listen: 9x is not HOST:PORT",
        ),
        (["--lib-dir", "/x", "--node-name", "n", "--injection", "magic"], "error: Invalid value for '--injection'"),
    ],
)
def test_usage_errors_are_one_message_and_exit_code_1(arguments: list[str], expected: str) -> None:
    async def main() -> tuple[int | None, str]:
        environment = {key: value for key, value in os.environ.items() if key != "NODE_NAME"}
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*PROGRAM, *arguments, stderr=pipe, stdout=pipe, env=environment)
        _, err = await process.communicate()
        return process.returncode, err.decode()

    code, err = asyncio.run(main())
    assert (code, err.startswith(expected), "Traceback" in err) == (1, True, False), err
