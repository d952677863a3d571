"""Who holds a GPU: what the kubelet tells the agent, less the pods that have ended."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from gpuready.engine.verify import ask_agents, free_gpus
from gpuready.model.facts.agent import AgentReport, Gpu, Holder
from gpuready.model.unknown import Unknown

TRAINER = Holder(namespace="ml", pod="trainer", container="main")
ENDED = Holder(namespace="ml", pod="ended", container="main")


def report(held_by: tuple[Holder, ...] | Unknown) -> AgentReport:
    gpu = Gpu(index=0, uuid="GPU-0", minor=0, model="H100", memory_mib=1, pci="0", numa_node=0, health="ok")
    held = msgspec.structs.replace(gpu, held_by=held_by)
    return AgentReport(
        node="gpu-1", as_of="", version="", driver="", cuda="", injection="cdi", registered=True, gpus=(held,)
    )


class Cluster:
    """One agent, on gpu-1, and one pod of that node that has ended: ml/ended."""

    def __init__(self, told: AgentReport) -> None:
        self.told = told
        self.asked: list[str] = []

    def list_objects(self, api_version: str, kind: str, **where: str) -> Iterable[dict[str, Any]]:
        if "fields" not in where:
            return [{"metadata": {"name": "agent"}, "spec": {"nodeName": "gpu-1", "containers": []}}]
        self.asked.append(where["fields"])
        return [{"metadata": {"namespace": "ml", "name": "ended"}}]

    def proxy_get(self, namespace: str, pod: str, port: int, path: str = "/") -> bytes:
        return msgspec.json.encode(self.told)


@pytest.mark.parametrize(
    ("sentence", "told", "left", "free"),
    [
        ("nobody holds it", (), (), 1),
        ("somebody holds it", (TRAINER,), (TRAINER,), 0),
        ("who held it has ended", (ENDED,), (), 1),
        ("it was given to another since", (ENDED, TRAINER), (TRAINER,), 0),
        ("the kubelet was not asked", Unknown("no socket"), Unknown("no socket"), 0),
    ],
)
def test_a_pod_that_has_ended_holds_nothing(
    sentence: str, told: tuple[Holder, ...] | Unknown, left: tuple[Holder, ...] | Unknown, free: int
) -> None:
    cluster = Cluster(report(told))
    (answer,) = ask_agents(cluster, ["gpu-1"]).values()  # type: ignore[arg-type]
    assert (answer, free_gpus(answer)) == (report(left), free), sentence
    ended = "spec.nodeName=gpu-1,status.phase!=Pending,status.phase!=Running,status.phase!=Unknown"
    assert cluster.asked == ([ended] if isinstance(told, tuple) and told else [])
