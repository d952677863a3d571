"""What a step waits for, over a cluster that changes while it is watched."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from gpuready.engine.agents import offering
from gpuready.engine.waits import gpus_allocatable, gpus_withdrawn
from gpuready.model.errors import UserError
from gpuready.model.plan import Ref, Wait

Json = dict[str, Any]


def pod(name: str, daemonset: str, *, ready: bool = True, ending: bool = False, waiting: str = "") -> Json:
    meta: Json = {"name": name, "ownerReferences": [{"kind": "DaemonSet", "name": daemonset}]}
    container = {"state": {"waiting": {"reason": waiting, "message": "no such image"}}} if waiting else {"state": {}}
    status = {"conditions": [{"type": "Ready", "status": str(ready)}], "containerStatuses": [container]}
    return {"metadata": meta | ({"deletionTimestamp": "now"} if ending else {}), "status": status}


class Film:
    """A cluster of one node whose states follow each other, one step on whenever what is awaited is not there yet."""

    def __init__(self, *frames: tuple[int | None, list[Json]]) -> None:
        self.frames = list(frames)

    def _pods(self) -> list[Json]:
        return self.frames[0][1]

    def list_objects(self, *_: str, **__: str) -> Iterable[Json]:
        return self._pods()

    def _get(self, ref: Ref) -> Json | None:
        if ref.kind == "Pod":
            return next((p for p in self._pods() if p["metadata"]["name"] == ref.name), None)
        gpus = self.frames[0][0]
        return (
            None
            if gpus is None
            else {"status": {key: {"nvidia.com/gpu": str(gpus)} for key in ("allocatable", "capacity")}}
        )

    def wait_for(
        self, ref: Ref, until: Callable[[Json | None], bool], *, timeout: float, each: Callable[[], None]
    ) -> Json | None:
        each()
        while not until(self._get(ref)):
            if len(self.frames) == 1:
                raise TimeoutError
            self.frames.pop(0)
            each()
        return self._get(ref)


OLD, NEW = pod("old", "cdi"), pod("new", "devices")
STARTING = pod("new", "devices", ready=False)

FILMS = {
    "there from the beginning": [(1, [NEW])],
    "the kubelet learns of it after the agent is ready": [(0, []), (0, [STARTING]), (0, [NEW]), (1, [NEW])],
    "what the agent before it offered is not taken for its own": [
        (1, [OLD]),
        (1, [pod("old", "cdi", ending=True), STARTING]),
        (0, [STARTING]),
        (0, [NEW]),
        (1, [NEW]),
    ],
    "the old one of the same DaemonSet is on its way out": [
        (1, [pod("first", "devices", ending=True)]),
        (1, []),
        (0, [STARTING]),
        (0, [NEW]),
        (1, [NEW]),
    ],
}


@pytest.mark.parametrize("frames", FILMS.values(), ids=FILMS.keys())
def test_waits_until_the_right_agent_serves(frames: list[tuple[int | None, list[Json]]]) -> None:
    film = Film(*frames)
    assert gpus_allocatable(film, offering("node1", 1, "devices"), lambda: None) == "1 allocatable"  # type: ignore[arg-type]
    assert film.frames == [(1, [NEW])]


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ((0, [NEW]), TimeoutError("node/node1 offers 0 of 1 GPUs")),
        ((1, [OLD]), TimeoutError("node/node1 offers 1 of 1 GPUs, not by an agent of ds/devices")),
        ((1, [NEW, pod("old", "cdi")]), TimeoutError("pod/old on node/node1 did not end")),
        ((1, [STARTING]), TimeoutError("pod/new on node/node1 did not become ready")),
        ((None, []), UserError("node/node1 has left the cluster", "take it out of the spec")),
        (
            (0, [pod("new", "devices", waiting="ImagePullBackOff")]),
            UserError(
                "pod/new on node/node1: ImagePullBackOff: no such image",
                "kubectl logs -n gpuready-system new --previous",
            ),
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, Exception) else "",
)
def test_says_what_did_not_come(frame: tuple[int | None, list[Json]], error: Exception) -> None:
    with pytest.raises(type(error)) as raised:
        gpus_allocatable(Film(frame), offering("node1", 1, "devices"), lambda: None)  # type: ignore[arg-type]
    assert str(raised.value) == str(error)


LEAVES = {
    "the kubelet has heard the last list": ([(0, [])], ""),
    "it hears it while we wait": ([(1, []), (0, [])], ""),
    "the node has left the cluster": ([(None, [])], ""),
    "it has missed the last list": (
        [(1, [])],
        "node/n still says nvidia.com/gpu: 1, until its kubelet forgets the plugin (5 minutes)",
    ),
}


@pytest.mark.parametrize(("frames", "note"), LEAVES.values(), ids=LEAVES.keys())
def test_says_when_a_node_still_offers_what_has_left(frames: list[tuple[int | None, list[Json]]], note: str) -> None:
    wait = Wait(until="gpus-withdrawn", args={"nodes": "n"}, seconds=1)
    assert gpus_withdrawn(Film(*frames), wait, lambda: None) == note
