"""why: the doctor's findings narrowed to one pod or node, and what each link of its chain rests on."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from gpuready.engine.why import node_target, pod_target, why
from gpuready.model.errors import UserError
from gpuready.model.why import NodeGpus, Why
from gpuready.report.why_text import why_text
from tests.contracts.facts import build, merge_facts

NIGHT = yaml.safe_load("""
cluster:
  nodes:
  - name: gpu-1
    labels: {nvidia.com/gpu.present: "true"}
    capacity: {nvidia.com/gpu: 1}
    allocatable: {nvidia.com/gpu: 1}
  - name: gpu-2
    labels: {nvidia.com/gpu.present: "true"}
    capacity: {nvidia.com/gpu: 1}
    allocatable: {nvidia.com/gpu: 1}
    taints: [{key: team, value: a, effect: NoSchedule}]
  pods:
  - namespace: ml
    name: vectoradd
    node: gpu-1
    restart_policy: Never
    containers:
    - {name: main, requests: {nvidia.com/gpu: 1}, state: "terminated:0"}
    - {name: proxy, state: running, ready: true}
  - namespace: ml
    name: next
    phase: Pending
    unscheduled: 0/2 nodes are available, 1 Insufficient nvidia.com/gpu
    placement: {}
    containers: [{requests: {nvidia.com/gpu: 1}}]
  - {namespace: web, name: other, node: gpu-2, containers: [{state: running, ready: true}]}
  - {namespace: web, name: twin, node: gpu-2}
  - {namespace: ml, name: twin, node: gpu-2}
agents:
  gpu-1: {node: gpu-1, gpus: [{held_by: [{namespace: ml, pod: vectoradd}]}]}
  gpu-2: {node: gpu-2}
hosts: {gpu-1: {node: gpu-1}, gpu-2: {node: gpu-2}}
""")


def of(name: str, **change: Any) -> Why:
    facts = build(merge_facts(NIGHT, change))
    kind, _, bare = name.partition("/")
    cluster = facts["cluster"]
    return why(facts, node_target(cluster, bare) if kind == "node" else pod_target(cluster, bare, None))


def states(found: Why) -> dict[str, str]:
    return {link.link: link.state for link in found.links}


def causes(found: Why) -> list[tuple[str, list[str]]]:
    return [(c.found.rule, [s.rule for s in c.so]) for c in found.diagnosis.causes]


BELOW = dict.fromkeys(("node", "hardware", "kernel driver", "libraries"), "ok")
UNPROVEN = {"runtime config": "silent", "toolkit": "silent", "install": "silent"}
SERVED = {"discovery": "ok", "plugin": "silent", "registration": "ok"}


def test_a_pod_that_waits_for_a_gpu_that_another_keeps() -> None:
    found = of("pod/next")
    assert causes(found) == [("gpu-held-by-running-sidecar", ["gpu-held-by-another-pod"])]
    broken = {"allocatable": "broken", "scheduling": "broken"}
    beyond = dict.fromkeys(("admission", "container start", "compute"), "not reached")
    assert states(found) == {**BELOW, **UNPROVEN, **SERVED, **broken, **beyond}
    assert found.waits_for == ("a node: 0/2 nodes are available, 1 Insufficient nvidia.com/gpu",)
    assert found.nodes == (NodeGpus(node="gpu-1", allocatable=1, held=("ml/vectoradd holds 1",)),)
    assert found.kept_off == ("node/gpu-2: taint team=a:NoSchedule",)
    assert found.next == "end that pod, if its work is done: kubectl delete pod -n ml vectoradd"
    assert (found.well, found.exit_code) == (False, 2)


def test_a_pod_that_is_well_says_so_and_on_what_that_rests() -> None:
    pods = [{"namespace": "ml", "name": "train", "node": "gpu-1", "containers": [
        {"requests": {"nvidia.com/gpu": 1}, "state": "running", "ready": True}]}]  # fmt: skip
    agents = {"gpu-1": {"node": "gpu-1", "gpus": [{"held_by": [{"namespace": "ml", "pod": "train"}]}]}}
    found = of("pod/train", cluster={"pods": pods}, agents=agents)
    assert (found.well, found.exit_code, causes(found), found.next) == (True, 0, [], "")
    assert found.rests_on == (
        "container main: running, ready",
        "it holds GPU 0 GPU-3f2a (PodResources of node/gpu-1)",
    )
    assert set(states(found).values()) == {"ok", "silent"}


def test_faults_of_others_do_not_concern_a_pod_on_another_node() -> None:
    found = of("pod/other")
    assert (causes(found), found.exit_code, found.state) == ([], 0, "Running on node/gpu-2; asks for no GPU")


def test_what_could_not_be_read_is_unknown_and_never_well() -> None:
    pods = [{"namespace": "ml", "name": "train", "node": "gpu-1", "phase": "Pending", "containers": [
        {"requests": {"nvidia.com/gpu": 1}, "state": "waiting:ContainerCreating"}]}]  # fmt: skip
    missing = {"missing": [{"unknown": "events were not read", "ask": "gpuready rbac why"}]}
    found = of("pod/train", cluster={"pods": pods}, said=missing, agents={}, hosts={})
    assert (found.well, found.exit_code, found.next) == (False, 3, "gpuready rbac why")
    unknown = {link.link: link.says for link in found.links if link.state == "unknown"}
    assert unknown["container start"] == ("events were not read",)
    assert found.waits_for == ("container main: ContainerCreating",)


def test_a_node_answers_for_all_that_is_on_it() -> None:
    assert causes(of("node/gpu-1")) == [("gpu-held-by-running-sidecar", ["gpu-held-by-another-pod"])]
    quiet = of("node/gpu-2")
    assert (causes(quiet), quiet.well, quiet.exit_code) == ([], True, 0)


def test_other_nodes_that_were_not_looked_at_leave_nothing_open_here() -> None:
    nodes = [{**NIGHT["cluster"]["nodes"][0], "taints": []}, {**NIGHT["cluster"]["nodes"][1], "allocatable": {}}]
    silent = {"gpu-2": {"unknown": "no agent runs there"}}
    change = {"cluster": {"nodes": nodes, "pods": []}, "hosts": silent, "agents": silent}
    assert "unknown" not in states(of("node/gpu-1", **change)).values()
    assert "unknown" in states(of("node/gpu-2", **change)).values()


def test_hiding_the_pods_makes_nothing_well() -> None:
    facts = build({**NIGHT, "cluster": {**NIGHT["cluster"], "pods": {"unknown": "pods may not be listed"}}})
    with pytest.raises(UserError, match="could not be read: pods may not be listed"):
        pod_target(facts["cluster"], "next", None)


@pytest.mark.parametrize(
    ("name", "namespace", "said"),
    [
        ("nxt", None, "there is no pod/nxt in what was read; did you mean pod/next -n ml?"),
        ("next", "mll", "there is no pod/mll/next in what was read; did you mean pod/next -n ml?"),
        ("zzzzzz", None, "there is no pod/zzzzzz in what was read; kubectl get pods -A"),
        ("twin", None, "pod/twin is in several namespaces: ml, web; choose one with -n"),
    ],
)
def test_a_pod_that_is_not_there_is_named_with_the_nearest(name: str, namespace: str | None, said: str) -> None:
    with pytest.raises(UserError) as error:
        pod_target(build(NIGHT)["cluster"], name, namespace)
    assert str(error.value) == said


def test_a_node_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"there is no node/gpu-9 in what was read; did you mean node/gpu-"):
        node_target(build(NIGHT)["cluster"], "gpu-9")


def test_the_text_leads_from_the_state_to_the_next_step() -> None:
    text = why_text(of("pod/next"), width=200).splitlines()
    assert text[0] == "pod/ml/next  not well: Pending; asks for nvidia.com/gpu: 1"
    assert text[-1] == "next: end that pod, if its work is done: kubectl delete pod -n ml vectoradd (exit 2)"
    assert max(map(len, why_text(of("pod/next"), width=80).splitlines())) <= 80
