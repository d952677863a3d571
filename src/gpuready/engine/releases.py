"""Carries out what a plan says of a Helm release: looks first, does nothing twice, ends what was cut off."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gpuready.components.gpu_operator.release import Live, live
from gpuready.engine.ledger import at_pointer
from gpuready.model.errors import UserError
from gpuready.model.plan import Helm
from gpuready.model.ports import Charts, Clock, Cluster

UNFINISHED_SECONDS = 60.0  # a helm that outlived the run that started it ends within this time, or never
# what discovery and the operator write on nodes: github.com/NVIDIA/gpu-operator, internal/state; NFD's annotations
DOMAINS = ("nvidia.com/", "feature.node.kubernetes.io/", "nfd.node.kubernetes.io/")


class Installed(NamedTuple):
    revision: int
    note: str


def observe(cluster: Cluster, release: str, namespace: str) -> Live | None:
    """The release as Helm's Secrets tell it."""
    return live(cluster.list_objects("v1", "Secret", namespace=namespace, labels=f"owner=helm,name={release}"))


def install(cluster: Cluster, charts: Charts | None, clock: Clock, action: Helm, hold: Callable[[], None]) -> Installed:
    """Bring the release to this chart and these values, unless it is there already."""
    helm = _present(charts)
    now = _at_rest(cluster, clock, action, hold)
    if now is not None and now.is_as(action):
        return Installed(now.revision, f"revision {now.revision} is it already")
    if now is not None and now.unfinished:
        hold()
        if now.deployed:
            helm.roll_back(action.release, action.namespace, now.deployed)
        else:
            helm.uninstall(action.release, action.namespace)
    hold()
    helm.install(action)
    done = observe(cluster, action.release, action.namespace)
    if done is None or not done.is_as(action):
        state = done.status if done else "absent"
        raise UserError(
            f"release {action.release} in namespace {action.namespace} is {state} after helm had ended",
            f"kubectl get secret -n {action.namespace} -l owner=helm,name={action.release} -L version,status",
        )
    return Installed(done.revision, f"revision {done.revision}")


def uninstall(cluster: Cluster, charts: Charts | None, release: str, namespace: str) -> str:
    """A note for the user."""
    if observe(cluster, release, namespace) is None:
        return "was gone already"
    _present(charts).uninstall(release, namespace)
    return ""


def _present(charts: Charts | None) -> Charts:
    if charts is None:
        raise UserError("this step needs helm, and this session has none", "gpuready apply --resume")
    return charts


def _at_rest(cluster: Cluster, clock: Clock, action: Helm, hold: Callable[[], None]) -> Live | None:
    """The release once no helm works on it, or as it was left by one that was ended."""
    end = clock.monotonic() + UNFINISHED_SECONDS
    while True:
        now = observe(cluster, action.release, action.namespace)
        if now is None or not now.unfinished or clock.monotonic() > end:
            return now
        hold()
        clock.sleep(2)


def marks(cluster: Cluster) -> dict[str, dict[str, Any]]:
    """Of every node the labels and annotations of such names, as pointer -> value: what was there before us."""
    found = {n["metadata"]["name"]: _marks_of(n) for n in cluster.list_objects("v1", "Node")}
    return {name: there for name, there in found.items() if there}


def _marks_of(node: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"/metadata/{part}/{key.replace('~', '~0').replace('/', '~1')}": value
        for part in ("labels", "annotations")
        for key, value in (at_pointer(node, f"/metadata/{part}") or {}).items()
        if key.startswith(DOMAINS)
    }


def new_marks(labels: Mapping[str, str], annotations: Mapping[str, str], before: Mapping[str, Any]) -> dict[str, Any]:
    """Those that a node has now and had not, or had otherwise, before the release; by pointer."""
    now = _marks_of({"metadata": {"labels": labels, "annotations": annotations}})
    return {pointer: value for pointer, value in now.items() if before.get(pointer) != value}
