"""Labels, condition and events against a Node that is a dictionary with field managers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gpuready.model.errors import ApiError, Conflict, FieldConflict
from gpuready.node import node_api, node_writes
from gpuready.node.condition import Condition
from gpuready.node.node_api import KubeNodeApi
from gpuready.node.node_writes import NodeWriter, event

WELL = Condition(status="True", reason="AllHealthy", message="1 of 1")
BAD = Condition(status="False", reason="XidError", message="1 of 1 failed")


class FakeApi:
    """Records writes in order; `down` makes every call fail, `taken` is what other managers hold."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.down = ""
        self.taken: dict[str, str] = {}
        self.standing: dict[str, Any] | None = None

    def _call(self, name: str, what: Any) -> None:
        if self.down in (name, "all"):
            raise ApiError(f"{name} is down")
        self.calls.append((name, what))

    def apply_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        self._call("labels", dict(labels))
        return self.taken

    def condition(self) -> dict[str, Any] | None:
        return self.standing

    def apply_condition(self, obj: dict[str, Any]) -> None:
        entry = obj["status"]["conditions"][0]
        self._call(
            "condition", (entry["status"], entry["reason"], entry["lastTransitionTime"] == entry["lastHeartbeatTime"])
        )
        self.standing = entry

    def create_event(self, obj: dict[str, Any]) -> None:
        self._call("event", (obj["reason"], obj["note"], obj["type"]))


def play(api: FakeApi, *acts: Callable[[NodeWriter], None]) -> NodeWriter:
    """Run the writer; each act happens after the last one's writes."""

    async def main() -> NodeWriter:
        writer = NodeWriter("node-1", "agent-1", lambda: api)
        running = asyncio.create_task(writer.run())
        for act in acts:
            act(writer)
            await asyncio.sleep(0.08)
        running.cancel()
        writer.close()
        return writer

    return asyncio.run(main())


def want(labels: dict[str, str] | None, condition: Condition) -> Callable[[NodeWriter], None]:
    return lambda writer: writer.want(labels, condition)


def test_writes_what_is_wanted_once_and_again_only_when_it_changed() -> None:
    api = FakeApi()
    same = want({"a": "1"}, WELL)
    play(api, same, same, want({"a": "2"}, WELL), want(None, BAD), want({"a": "2"}, BAD))
    assert api.calls == [
        ("condition", ("True", "AllHealthy", True)),
        ("labels", {"a": "1"}),
        ("labels", {"a": "2"}),
        ("condition", ("False", "XidError", True)),
    ]


def test_nothing_known_of_the_gpus_leaves_the_labels_alone() -> None:
    api = FakeApi()
    play(api, want(None, BAD))
    assert api.calls == [("condition", ("False", "XidError", True))]


def test_the_time_of_the_last_change_of_status_outlives_the_agent() -> None:
    api = FakeApi()
    api.standing = {"type": "gpuready.dev/GPUHealthy", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    play(api, want(None, WELL))
    assert api.standing["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    play(api, want(None, BAD))
    assert api.standing["lastTransitionTime"] != "2026-01-01T00:00:00Z"


def test_events_are_sent_in_order_and_a_label_that_others_hold_is_told_once() -> None:
    api = FakeApi()
    api.taken = {"nvidia.com/gpu.count": "nfd-master"}
    first = event("GPUUnhealthy", "GPU-1 is failed", warning=True)
    second = event("GPUHealthy", "GPU-1 is ok", warning=False)

    def send(writer: NodeWriter) -> None:
        writer.send(first)
        writer.send(second)

    play(api, want({"a": "1"}, WELL), send, want({"a": "2"}, WELL))
    note = "left alone, held with other values: nvidia.com/gpu.count by nfd-master"
    assert [what for name, what in api.calls if name == "event"] == [
        ("LabelsLeftAlone", note, "Warning"),
        ("GPUUnhealthy", "GPU-1 is failed", "Warning"),
        ("GPUHealthy", "GPU-1 is ok", "Normal"),
    ]


def test_what_fails_is_tried_again_and_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_writes, "FIRST_PAUSE", 0.02)
    api = FakeApi()
    api.down = "condition"

    def up(_: NodeWriter) -> None:
        api.down = ""

    writer = play(api, want({"a": "1"}, WELL), up)
    assert api.calls == [("labels", {"a": "1"}), ("condition", ("True", "AllHealthy", True))]
    assert writer.errors >= 1


def test_events_kept_while_the_api_is_down_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_writes, "FIRST_PAUSE", 0.02)
    api = FakeApi()
    api.down = "all"

    def storm(writer: NodeWriter) -> None:
        for number in range(100):
            writer.send(event("R", str(number), warning=True))

    def up(_: NodeWriter) -> None:
        api.down = ""

    play(api, storm, up)
    assert [what[1] for _, what in api.calls] == [str(number) for number in range(68, 100)]


def test_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_writes, "HEARTBEAT", 0.03)
    api = FakeApi()
    play(api, want(None, WELL), lambda _: None, lambda _: None)
    assert len(api.calls) > 2
    assert {call[1][:2] for call in api.calls} == {("True", "AllHealthy")}


class FakeClient:
    """A Kubernetes client whose apply meets another field manager on some labels."""

    def __init__(self, held: dict[str, str]) -> None:
        self.held = held
        self.applied: list[tuple[dict[str, str], str, bool]] = []

    def apply(self, obj: dict[str, Any], *, manager: str, force: bool = False) -> dict[str, Any]:
        labels = obj["metadata"]["labels"]
        if taken := [key for key in labels if key in self.held]:
            conflict = Conflict("held by others")
            conflict.fields = tuple(FieldConflict(self.held[key], f".metadata.labels.{key}") for key in taken)
            raise conflict
        self.applied.append((labels, manager, force))
        return obj


def kube_api(client: FakeClient) -> KubeNodeApi:
    made = object.__new__(KubeNodeApi)
    made._node, made._client = "node-1", client  # type: ignore[assignment]
    return made


def test_a_label_of_another_manager_is_left_alone_and_the_others_are_applied() -> None:
    client = FakeClient({"nvidia.com/gpu.count": "nfd-master"})
    taken = kube_api(client).apply_labels({"nvidia.com/gpu.count": "8", "nvidia.com/gpu.family": "hopper"})
    assert taken == {"nvidia.com/gpu.count": "nfd-master"}
    assert client.applied == [({"nvidia.com/gpu.family": "hopper"}, node_api.MANAGER, False)]


def test_a_conflict_about_anything_else_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    client = FakeClient({})
    monkeypatch.setattr(client, "apply", lambda *_, **__: (_ for _ in ()).throw(Conflict("changed meanwhile")))
    with pytest.raises(Conflict):
        kube_api(client).apply_labels({"a": "1"})
