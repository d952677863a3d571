"""The device plugin and a kubelet, both over real unix sockets."""

from __future__ import annotations

import asyncio
import os
import stat
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fake_kubelet import FakeKubelet, FakePodResources, until
from grpclib import GRPCError
from node_builders import gpu, injection, uuid

from gpuready.model.facts.agent import Holder
from gpuready.model.unknown import Unknown
from gpuready.node import plugin_server, podresources
from gpuready.node.devices import Device
from gpuready.node.kubelet import Registration, socket_name
from gpuready.node.plugin import Plugin

RESOURCE = "nvidia.com/gpu"
EMPTY: tuple[tuple[str, str, int | None], ...] = ()
TWO = (Device(id=uuid(0), healthy=True, numa=1), Device(id=uuid(1), healthy=True, numa=None))
TWO_LISTED = ((uuid(0), "Healthy", 1), (uuid(1), "Healthy", None))
ONE_BAD = (TWO[0], Device(id=uuid(1), healthy=False, numa=None))
ONE_BAD_LISTED = ((uuid(0), "Healthy", 1), (uuid(1), "Unhealthy", None))


class Scene:
    def __init__(self, folder: Path, *, by_cdi: bool) -> None:
        self.folder = folder
        self.plugin = Plugin(by_cdi=by_cdi)
        self.plugin.devices = TWO
        self.plugin.injection = injection(gpu(0), gpu(1))
        self.plugin.links = {frozenset((uuid(0), uuid(1))): 100}
        self.kubelet = FakeKubelet(folder)
        self.observed: list[float] = []
        self.registration = Registration(folder, RESOURCE, self.plugin, self.observed.append)
        self.running: asyncio.Task[None]

    @property
    def socket(self) -> Path:
        return self.folder / "nvidia-gpu.sock"


def scene(folder: Path, act: Callable[[Scene], Awaitable[None]], *, by_cdi: bool = True, start: bool = True) -> None:
    @asynccontextmanager
    async def setting() -> AsyncIterator[Scene]:
        made = Scene(folder, by_cdi=by_cdi)
        if start:
            await made.kubelet.start()
        made.running = running = asyncio.create_task(made.registration.run())
        try:
            if start:
                await until("registered", lambda: made.registration.registered and made.kubelet.lists)
            yield made
        finally:
            running.cancel()
            await made.registration.leave()
            await made.kubelet.stop()

    async def main() -> None:
        async with setting() as made:
            await act(made)

    asyncio.run(main())


def test_serves_registers_and_sends_the_whole_list_first(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        assert s.kubelet.requests == [("v1beta1", "nvidia-gpu.sock", RESOURCE, True, False)]
        assert s.kubelet.lists == [TWO_LISTED]
        assert stat.S_IMODE(os.stat(s.socket).st_mode) == 0o600

    scene(tmp_path, act)
    assert socket_name("nvidia.com/mig-1g.5gb") == "nvidia-mig-1g.5gb.sock"


def test_each_change_is_sent_in_full_and_no_change_is_not_sent(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        s.plugin.publish(ONE_BAD)
        await until("the change", lambda: len(s.kubelet.lists) == 2)
        s.plugin.publish(ONE_BAD)
        s.plugin.publish(TWO)
        await until("the change back", lambda: len(s.kubelet.lists) == 3)
        assert s.kubelet.lists == [TWO_LISTED, ONE_BAD_LISTED, TWO_LISTED]

    scene(tmp_path, act)


def test_several_streams_each_get_every_list(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        others = [FakeKubelet(tmp_path) for _ in range(3)]
        from grpclib.client import Channel

        channels = [Channel(path=str(s.socket)) for _ in others]
        tasks = [asyncio.create_task(one._watch(channel)) for one, channel in zip(others, channels, strict=True)]
        await until("first lists", lambda: all(one.lists for one in others))
        s.plugin.publish(ONE_BAD)
        await until("second lists", lambda: all(len(one.lists) == 2 for one in (*others, s.kubelet)))
        channels[0].close()
        s.plugin.publish(TWO)
        await until("third lists", lambda: all(len(one.lists) == 3 for one in (*others[1:], s.kubelet)))
        assert [one.lists for one in (*others[1:], s.kubelet)] == [[TWO_LISTED, ONE_BAD_LISTED, TWO_LISTED]] * 3
        for channel in channels[1:]:
            channel.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    scene(tmp_path, act)


def test_a_restarted_kubelet_gets_the_plugin_back_within_seconds(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        for round_ in range(2, 5):
            await s.kubelet.stop()
            await s.kubelet.start()
            began = time.monotonic()
            await until("registered again", lambda count=round_: s.registration.count == count)
            assert time.monotonic() - began < 5
            await until("listed again", lambda: s.kubelet.lists[-1] == TWO_LISTED and s.registration.registered)

    scene(tmp_path, act)


def test_a_socket_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        s.socket.unlink()
        await until("registered again", lambda: s.registration.count == 2)
        assert s.socket.is_socket()

    scene(tmp_path, act)


def test_renewal_on_request(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        s.registration.renew()
        await until("registered again", lambda: s.registration.count == 2)

    scene(tmp_path, act)


def test_waits_for_a_kubelet_that_is_not_there_and_survives_refusals(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        await asyncio.sleep(0.7)
        assert (s.registration.registered, s.registration.count) == (False, 0)
        s.kubelet.refuse = "unsupported version"
        await s.kubelet.start()
        await until("refused", lambda: s.kubelet.requests)
        assert s.registration.registered is False
        s.kubelet.refuse = ""
        await until("registered", lambda: s.registration.registered)

    scene(tmp_path, act, start=False)


def test_registered_means_that_the_kubelet_listens(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        await s.kubelet.stop()
        await until("not registered", lambda: not s.registration.registered)

    scene(tmp_path, act)


def test_a_stale_socket_is_replaced_and_a_living_one_is_not(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        with pytest.raises(plugin_server.PluginError, match="another process serves"):
            await plugin_server.serve(s.socket, Plugin(by_cdi=True), s.observed.append)
        assert s.registration.registered

    scene(tmp_path, act)
    stale = tmp_path / "nvidia-gpu.sock"
    stale.touch()

    async def replace() -> None:
        serving = await plugin_server.serve(stale, Plugin(by_cdi=True), [].append)
        assert stale.is_socket()
        await serving.close()
        assert not stale.exists()

    asyncio.run(replace())


def test_the_end_is_an_empty_list_and_no_socket(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        await s.registration.leave()
        await until("the last list", lambda: len(s.kubelet.lists) >= 2)
        assert s.kubelet.lists[1] == EMPTY
        assert not s.socket.exists()

    scene(tmp_path, act)


def test_a_kubelet_that_has_lost_our_list_is_told_of_the_end_all_the_same(tmp_path: Path) -> None:
    """The end comes between closing the socket and registering anew: the kubelet still counts the devices."""

    async def act(s: Scene) -> None:
        s.running.cancel()
        await asyncio.gather(s.running, return_exceptions=True)
        await s.registration._close()
        await until("the stream's end", lambda: not s.plugin.watched)
        await s.registration.leave()
        await until("the last list", lambda: EMPTY in s.kubelet.lists)
        assert len(s.kubelet.requests) == 2
        assert not s.socket.exists()

    scene(tmp_path, act)


def test_the_end_of_one_that_never_asked_the_kubelet_takes_nothing_from_another_plugin(tmp_path: Path) -> None:
    async def main() -> None:
        kubelet = FakeKubelet(tmp_path)
        await kubelet.start()
        plugin = Plugin(by_cdi=True)
        plugin.devices = TWO
        await Registration(tmp_path, RESOURCE, plugin, lambda _: None).leave()
        assert kubelet.requests == []
        await kubelet.stop()

    asyncio.run(main())


def test_the_end_does_not_wait_for_a_kubelet_that_is_gone(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        s.running.cancel()
        await s.kubelet.stop()
        s.kubelet.folder.joinpath("kubelet.sock").unlink(missing_ok=True)
        await until("the stream's end", lambda: not s.plugin.watched)
        began = time.monotonic()
        await s.registration.leave()
        assert time.monotonic() - began < 2

    scene(tmp_path, act)


def test_allocate_by_cdi_gives_names_and_nothing_else(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        answer = await s.kubelet.allocate([uuid(1), uuid(0), uuid(1)], [uuid(0)])
        found = [
            ([one.name for one in r.cdi_devices], list(r.devices), list(r.mounts), dict(r.envs), dict(r.annotations))
            for r in answer.container_responses
        ]
        name = "gpuready.dev/gpu="
        assert found == [
            ([name + uuid(1), name + uuid(0)], [], [], {}, {}),
            ([name + uuid(0)], [], [], {}, {}),
        ]
        assert len(s.observed) == 1

    scene(tmp_path, act)


def test_allocate_by_devices_gives_nodes_libraries_and_one_variable(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        response = (await s.kubelet.allocate([uuid(1)])).container_responses[0]
        assert list(response.cdi_devices) == []
        nodes = [(one.container_path, one.host_path, one.permissions) for one in response.devices]
        expected = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia1")
        assert nodes == [(path, path, "rw") for path in expected]
        mounts = [(one.host_path, one.container_path, one.read_only) for one in response.mounts]
        assert mounts == [("/drv/libcuda.so.580.65.06", "/usr/lib64/libcuda.so.1", True)]
        assert dict(response.envs) == {"NVIDIA_VISIBLE_DEVICES": "void"}

    scene(tmp_path, act, by_cdi=False)


@pytest.mark.parametrize(
    ("sentence", "ids", "expected"),
    [
        ("an id that is not of this node", ["GPU-x"], "unknown device GPU-x"),
        ("one known and one not", [uuid(0), "GPU-x"], "unknown device GPU-x"),
        ("a GPU that failed meanwhile", [uuid(1)], f"device {uuid(1)} is not healthy"),
    ],
)
def test_allocate_refuses(sentence: str, ids: list[str], expected: str, tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        s.plugin.publish(ONE_BAD)
        with pytest.raises(GRPCError) as raised:
            await s.kubelet.allocate(ids)
        assert str(raised.value.message).startswith(expected), sentence

    scene(tmp_path, act)


def test_preferred_allocation_over_the_socket(tmp_path: Path) -> None:
    async def act(s: Scene) -> None:
        assert await s.kubelet.prefer([uuid(0), uuid(1)], [uuid(1)], 2) == [uuid(1), uuid(0)]
        with pytest.raises(GRPCError, match="3 of 2 devices"):
            await s.kubelet.prefer([uuid(0), uuid(1)], [], 3)

    scene(tmp_path, act)


def test_holders(tmp_path: Path) -> None:
    held = [
        ("ml", "train-0", "main", RESOURCE, [uuid(0)]),
        ("ml", "share-0", "main", RESOURCE, [f"{uuid(1)}::3", f"{uuid(1)}::4"]),
        ("ml", "share-1", "side", RESOURCE, [f"{uuid(1)}::0"]),
        ("ml", "other", "main", "example.com/fpga", [uuid(0)]),
    ]

    async def main() -> None:
        path = tmp_path / "kubelet.sock"
        missing = await podresources.holders(path, RESOURCE)
        assert missing == Unknown(f"{path}: No such file or directory")
        server = await FakePodResources(held).start(path)
        found = await podresources.holders(path, RESOURCE)
        assert found == {
            uuid(0): (Holder(namespace="ml", pod="train-0", container="main"),),
            uuid(1): (
                Holder(namespace="ml", pod="share-0", container="main"),
                Holder(namespace="ml", pod="share-1", container="side"),
            ),
        }
        server.close()
        await server.wait_closed()
        refused = await podresources.holders(path, RESOURCE)
        assert isinstance(refused, Unknown)

    asyncio.run(main())
