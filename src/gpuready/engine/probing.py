"""Run one short-lived pod on each node, read what it prints, and remove it whatever happens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from gpuready.model.errors import UserError
from gpuready.model.names import NAMESPACE
from gpuready.model.plan import Object, Ref
from gpuready.model.ports import Cluster

Json = dict[str, Any]
SAID = 3  # nodes whose own words are told
ONE_LOOK = 1.0  # seconds; for those that had the whole time while another one was waited for
LOG_LIMIT = 1 << 20  # bytes; a report of 16 GPUs is 4 kB

TIMEOUT = "Timeout"
# Waiting reasons that do not mend themselves within a probe's time. Source: kubelet images/types.go, kuberuntime.
STUCK = (
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)


class ProbeFailed(UserError):
    """The pod did not get as far as printing its report. `reason` is the kubelet's or scheduler's own word."""

    def __init__(self, what: str, next: str = "", reason: str = "") -> None:
        super().__init__(what, next)
        self.reason = reason


class FailedOn(UserError):
    """What was begun on several nodes failed on these, and is done on the others."""

    def __init__(self, errors: Mapping[str, UserError]) -> None:
        said = [error.what for error in errors.values()]
        more = f"; and {len(said) - SAID} more nodes" if len(said) > SAID else ""
        super().__init__("; ".join(said[:SAID]) + more, next(iter(errors.values())).next)
        self.nodes = frozenset(errors)


def pod_ref(pod: Object) -> Ref:
    return Ref(api_version="v1", kind="Pod", name=pod["metadata"]["name"], namespace=NAMESPACE)


def run_probes(
    cluster: Cluster, pods: Mapping[str, Object], seconds: float, each: Callable[[], None]
) -> dict[str, str | ProbeFailed]:
    """What each node's pod printed, or why it did not. Afterwards none of the pods is left.

    They run side by side; `seconds` is what each of them has, and all of them together.
    """
    refs = {node: pod_ref(pod) for node, pod in pods.items()}
    for ref in refs.values():
        each()
        remove(cluster, ref)
    out: dict[str, str | ProbeFailed] = {}
    left = seconds
    try:
        for pod in pods.values():
            each()
            cluster.create(pod)
        for node, ref in refs.items():
            try:
                out[node] = _result(cluster, node, ref, seconds, left, each)
            except ProbeFailed as failed:
                out[node] = failed
                left = ONE_LOOK if failed.reason == TIMEOUT else left
    finally:
        for ref in refs.values():
            with contextlib.suppress(UserError):
                remove(cluster, ref)
    return out


def remove(cluster: Cluster, ref: Ref) -> None:
    """Delete the pod at once and wait until it is gone, so that what it held is free."""
    if cluster.get(ref) is None:
        return
    cluster.delete(ref, grace=0)
    cluster.wait_for(ref, lambda pod: pod is None, timeout=60)


def _result(cluster: Cluster, node: str, ref: Ref, seconds: float, left: float, each: Callable[[], None]) -> str:
    seen: list[Json | None] = [None]

    def settled(pod: Json | None) -> bool:
        seen[0] = pod
        return pod is None or _phase(pod) in ("Succeeded", "Failed") or _trouble(pod) is not None

    try:
        pod = cluster.wait_for(ref, settled, timeout=left, each=each)
    except TimeoutError:
        raise ProbeFailed(
            f"pod/{ref.name} on node/{node} did not finish in {seconds:.0f} s: {_where(seen[0])}",
            f"kubectl describe pod -n {NAMESPACE} {ref.name} while it runs",
            reason=TIMEOUT,
        ) from None
    if pod is None:
        raise ProbeFailed(f"pod/{ref.name} on node/{node} was deleted by somebody else", "run again", reason="Deleted")
    if _phase(pod) == "Succeeded":
        return cluster.logs(NAMESPACE, ref.name, limit=LOG_LIMIT)
    reason, text = _trouble(pod) or _failure(pod)
    text = _with_last_words(cluster, ref, text)
    raise ProbeFailed(f"pod/{ref.name} on node/{node}: {reason}: {text}", _advice(reason, text), reason=reason)


def _with_last_words(cluster: Cluster, ref: Ref, text: str) -> str:
    """The last line that the pod printed says more than its exit code; a pod that never ran has printed nothing."""
    try:
        lines = cluster.logs(NAMESPACE, ref.name, limit=4096).strip().splitlines()
    except UserError:
        return text
    errors = [line for line in lines if line.startswith("error: ")]
    return f"{text}: {_one_line((errors or lines)[-1])}" if lines else text


def _phase(pod: Json) -> str:
    return str(pod.get("status", {}).get("phase", ""))


def _trouble(pod: Json) -> tuple[str, str] | None:
    """(reason, message) when the pod will not run by waiting longer."""
    status = pod.get("status", {})
    for container in status.get("containerStatuses") or ():
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in STUCK:
            return waiting["reason"], _one_line(waiting.get("message", ""))
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            return "Unschedulable", _one_line(condition.get("message", ""))
    return None


def _failure(pod: Json) -> tuple[str, str]:
    status = pod.get("status", {})
    for container in status.get("containerStatuses") or ():
        ended = container.get("state", {}).get("terminated")
        if ended:
            why = _one_line(ended.get("message") or "")
            return ended.get("reason") or "Error", f"exit code {ended.get('exitCode')}" + (f": {why}" if why else "")
    return status.get("reason") or "Failed", _one_line(status.get("message") or "no message")


def _where(pod: Json | None) -> str:
    if pod is None:
        return "no status was seen"
    for container in pod.get("status", {}).get("containerStatuses") or ():
        waiting = container.get("state", {}).get("waiting")
        if waiting:
            return _one_line(f"{waiting.get('reason', 'waiting')}: {waiting.get('message', '')}")
    return f"phase {_phase(pod) or '?'}"


def _advice(reason: str, text: str) -> str:
    if "mage" in reason:
        return (
            "push the image to a registry that the nodes can pull from: gpuready image push REGISTRY/gpuready; "
            "for a private one set spec.image.pullSecret"
        )
    if reason == "Unschedulable" and "taint" in text:
        return "tolerate the taint (spec.nodes.tolerations) or leave the node out (spec.nodes.exclude)"
    if reason == "Unschedulable":
        return "gpuready status shows who holds the GPUs"
    return f"kubectl get events -n {NAMESPACE} says more"


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400]
