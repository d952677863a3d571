"""The way back from stack `gpu-operator`: the release, then what it and discovery wrote on nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from gpuready.engine.releases import new_marks
from gpuready.knowledge import operator
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.journal import Item
from gpuready.model.plan import Compensating, Helm, HelmUninstall, Ref, Restore, Step, Wait
from gpuready.model.unknown import known

KIND = "Release"
GONE_SECONDS = 300


def uninstall_steps(item: Item, cluster: ClusterFacts | None) -> Iterator[Step]:
    """Take the release out. `cluster` tells which labels and annotations its nodes have got since."""
    action = msgspec.convert(item.applied, Helm)
    yield Step(
        id=f"uninstall {action.release}",
        verb="uninstall",
        target=f"release/{action.release}",
        action=HelmUninstall(release=action.release, namespace=action.namespace),
        why="installed by gpuready",
        interrupts="no GPU pods any more",
        undo=Compensating("installed again"),
        wait=Wait(until="operator-gone", args={"namespaces": ",".join(_namespaces(action))}, seconds=GONE_SECONDS),
    )
    for node in known(cluster.nodes) if cluster else ():
        before = item.before.get(node.name) or {}
        marks = new_marks(node.labels, node.annotations, before)
        if marks:
            ref = Ref(api_version="v1", kind="Node", name=node.name)
            yield Step(
                id=f"unmark Node/{node.name}",
                verb="unmark",
                target=str(ref),
                action=Restore(ref, node.uid, marks, {p: before.get(p) for p in marks}),
                why=f"{len(marks)} labels and annotations of the operator and of discovery",
            )


def install_again(item: Item) -> Step:
    """The release as it was."""
    action = msgspec.convert(item.applied, Helm)
    return Step(
        id=f"helm again {action.release} {action.chart.digest[-12:]} {action.digest[:12]}",
        verb="upgrade",
        target=f"release/{action.release}",
        action=action,
        why=f"chart {action.chart.name} {action.chart.version} with the values of before",
        interrupts="GPU pods, where the driver is replaced",
        undo=Compensating("by helm again"),
        wait=Wait(until="operator-ready", args={"namespaces": ",".join(_namespaces(action)), "gpus": ""}, seconds=1800),
    )


def _namespaces(action: Helm) -> tuple[str, ...]:
    version = action.chart.version.removeprefix("v")
    release = operator.release(version)
    operands = operator.operand_namespace(version, action.namespace) if release else action.namespace
    return tuple(dict.fromkeys((action.namespace, operands)))
