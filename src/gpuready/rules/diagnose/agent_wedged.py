"""A node agent that runs and answers nobody: the GPUs of its node are counted and cannot be given out."""

from __future__ import annotations

from collections.abc import Iterator

from gpuready.model.facts.cluster import ClusterFacts, Pod
from gpuready.model.names import AGENT, NAMESPACE
from gpuready.model.rule import Finding, Rule
from gpuready.model.unknown import complete, known, members

# The kubelet's prober, of Go's net/http: the process accepts (the kernel does it) and does not answer. An agent that
# only starts refuses the connection, one that is not ready answers 503.
SILENCE = ("Client.Timeout exceeded", "context deadline exceeded", "i/o timeout")


def find(cluster: ClusterFacts) -> Iterator[Finding]:
    for pod in members(cluster.pods):
        if not _runs_and_is_not_ready(pod):
            continue
        about = [e for e in known(cluster.events) if e.about == f"pod/{pod.key}" and e.reason == "Unhealthy"]
        told = next((e for e in about if any(s in e.message for s in SILENCE)), None)
        if told is None:
            continue
        yield Finding(
            at=f"node/{pod.node}",
            says=f"the GPU agent runs and does not answer, so no pod gets a GPU of node/{pod.node}",
            evidence=(
                f"event of pod/{pod.key}: {told.message}",
                f"container agent of pod/{pod.key}: running, not ready",
            ),
            next=f"start it again: kubectl delete pod -n {pod.namespace} {pod.name}",
            nodes=(pod.node,),
            pods=(pod.key,),
        )
    complete(cluster.pods)


def _runs_and_is_not_ready(pod: Pod) -> bool:
    ours = pod.namespace == NAMESPACE and pod.labels.get("app.kubernetes.io/name") == AGENT
    return ours and not pod.terminating and any(c.state == "running" and not c.ready for c in pod.containers)


RULE = Rule(
    "agent-wedged",
    "diagnose",
    "fail",
    "The GPU agent of a node runs and does not answer",
    find,
    link="plugin",
)
