"""Nodes that leave: side by side, and where one of them fails the others are finished."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gpuready.components.native_agent.probes import pod_name
from gpuready.engine.execute import Event, Executor, StepFailed
from gpuready.engine.leave import NODES_AT_ONCE, go_back
from gpuready.engine.silent import leave_out
from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import ClusterFacts, Identity, Node, Pod
from gpuready.model.journal import Entry, Intent, Inventory, Item, Planned, Receipt, Start, Waited
from gpuready.model.names import NAMESPACE
from gpuready.model.plan import Delete, Plan, Probe, Ref, Step
from gpuready.model.spec import Image, Setup

Json = dict[str, Any]
SETUP = Setup(image=Image(reference="registry/gpuready:1"))
LABEL = "/metadata/labels/gpuready.dev~1agent"


def ref(node: str) -> Ref:
    return Ref(api_version="v1", kind="Node", name=node)


def inventory(*nodes: str) -> Inventory:
    items = (Item(ref=ref(n), uid=f"u-{n}", created=False, ours={LABEL: "x"}, before={LABEL: None}) for n in nodes)
    return Inventory(items=tuple(items))


def leaving(*nodes: str, silent: tuple[str, ...] = ()) -> Plan:
    ours = inventory(*nodes)
    return go_back(
        ours, Inventory(), setup=SETUP, cluster_uid="c", purpose="uninstall", silent_nodes=silent, cluster=SEEN
    )


def told(step: Step) -> tuple[str, str, str]:
    return step.verb, step.target, f"{step.wait.until} {step.wait.args['nodes']}" if step.wait else ""


def test_the_agents_of_all_nodes_end_at_once_and_one_step_cleans_after_them() -> None:
    assert [told(s) for s in leaving("a", "b").steps] == [
        ("unlabel", "node/b", ""),
        ("unlabel", "node/a", "agents-gone b,a"),
        ("clean", "2 nodes", ""),
        ("release", "node/b", ""),
        ("release", "node/a", "gpus-withdrawn b,a"),
    ]


def node(name: str, ready: bool) -> Node:
    return Node(name=name, uid=f"u-{name}", ready=ready)


def pod(name: str, node: str, namespace: str = NAMESPACE) -> Pod:
    return Pod(name=name, uid=f"u-{name}", namespace=namespace, node=node)


SEEN = ClusterFacts(
    identity=Identity(uid="c", server="https://s"),
    nodes=(node("a", False), node("b", True)),
    pods=(pod("agent-a", "a"), pod("clean-a", "a"), pod("agent-b", "b"), pod("other", "a", "theirs")),
    daemonsets=(),
    stacks=(),
    own_namespace=None,
)


def test_a_silent_node_is_neither_awaited_nor_cleaned_and_our_pods_on_it_go_at_once() -> None:
    plan = leaving("a", "b", silent=("a",))
    assert [told(s) for s in plan.steps] == [
        ("unlabel", "node/b", ""),
        ("unlabel", "node/a", "agents-gone b"),
        ("clean", "node/b", ""),
        ("release", "node/b", ""),
        ("release", "node/a", "gpus-withdrawn b"),
        ("delete", "pod/agent-a", ""),
        ("delete", "pod/clean-a", ""),
    ]
    assert [s.action for s in plan.steps[-2:]] == [
        Delete(Ref(api_version="v1", kind="Pod", name=n, namespace=NAMESPACE), f"u-{n}", forced=True)
        for n in ("agent-a", "clean-a")
    ]
    assert [(s.target, s.why) for s in plan.skipped] == [
        ("node/a", "left as it is: files of ours on it are undetermined")
    ]


def test_a_node_that_is_ready_and_left_ends_its_pods_itself() -> None:
    assert [told(s) for s in leaving("b", silent=("b",)).steps] == [
        ("unlabel", "node/b", ""),
        ("release", "node/b", ""),
    ]


def test_nodes_are_left_out_of_a_plan_once_and_again() -> None:
    whole = leaving("a", "b")
    once = leave_out(whole, ("a",), SEEN)
    assert [s.id for s in once.steps] == [*(s.id for s in whole.steps), "forget Pod/agent-a", "forget Pod/clean-a"]
    assert [told(s) for s in once.steps] == [told(s) for s in leaving("a", "b", silent=("a",)).steps]
    assert leave_out(once, ("a",), SEEN) == once


def test_a_name_that_the_plan_is_not_about_is_refused() -> None:
    with pytest.raises(UserError) as caught:
        leaving("a", "b", silent=("a", "node7"))
    assert str(caught.value) == "node/node7 is no node that this would clean; it cleans a, b"


def test_many_nodes_leave_so_many_at_once() -> None:
    names = [f"n{i:03}" for i in range(NODES_AT_ONCE + 2)]
    steps = leaving(*names).steps
    first, last = names[:1:-1], names[1::-1]
    assert [tuple(s.action.pods) for s in steps if isinstance(s.action, Probe)] == [tuple(first), tuple(last)]
    assert [s.verb for s in steps] == [
        verb for batch in (first, last) for verb in (*["unlabel"] * len(batch), "clean", *["release"] * len(batch))
    ]
    assert len({s.id for s in steps}) == len(steps)


class Nodes:
    """A cluster whose agents end and whose pods succeed, but for those of `stuck` (node -> agent or clean)."""

    def __init__(self, *names: str, stuck: Mapping[str, str]) -> None:
        self.stuck, self.cleaned, self.given = dict(stuck), list[str](), list[float]()
        self.labels: dict[str, Json] = {n: {"gpuready.dev/agent": "x"} for n in names}
        self.pods: dict[str, str] = {}  # of the clean probe, and their nodes

    def get(self, of: Ref) -> Json | None:
        if of.kind == "Node":
            meta = {"name": of.name, "uid": f"u-{of.name}", "resourceVersion": "1", "labels": self.labels[of.name]}
            return {"metadata": {**meta, "managedFields": []}}
        if of.name.startswith("agent-"):
            return self.agent(of.name.removeprefix("agent-"))
        if of.name not in self.pods:
            return None
        if self.stuck.get(self.pods[of.name]) == "slow":
            return {"status": {"phase": "Pending"}}
        if self.stuck.get(self.pods[of.name]) == "clean":
            why = {"type": "PodScheduled", "reason": "Unschedulable", "message": "no room"}
            return {"status": {"phase": "Pending", "conditions": [why]}}
        return {"status": {"phase": "Succeeded"}}

    def agent(self, node: str) -> Json | None:
        meta = {"name": f"agent-{node}"}
        return {"metadata": meta, "spec": {"nodeName": node}} if self.stuck.get(node) == "agent" else None

    def list_objects(self, *_: str, **__: str) -> list[Json]:
        return [pod for node in self.labels if (pod := self.agent(node))]

    def create(self, pod: Json) -> None:
        name = pod["metadata"]["name"]
        self.pods[name] = next(n for n in self.labels if pod_name("clean", n) == name)

    def logs(self, _namespace: str, name: str, limit: int) -> str:
        if self.stuck.get(self.pods[name]) == "clean":
            return ""
        self.cleaned.append(self.pods[name])
        return '{"removed": ["/a"], "left": []}'

    def delete(self, of: Ref, grace: int) -> None:
        del self.pods[of.name]

    def patch(self, of: Ref, body: Json) -> None:
        gone = body["metadata"]["labels"]
        self.labels[of.name] = {k: v for k, v in self.labels[of.name].items() if k not in gone}

    def wait_for(
        self, of: Ref, until: Callable[[Json | None], bool], *, timeout: float, each: Callable[[], None] = lambda: None
    ) -> Json | None:
        each()
        self.given.append(timeout)
        if not until(self.get(of)):
            raise TimeoutError
        return self.get(of)


class Record:
    """The journal of one run."""

    def __init__(self, plan: Plan, ours: Inventory) -> None:
        start = Start(run="r", purpose="uninstall", at="t", holder="h", version="0", inventory=ours)
        self.all: list[Entry] = [start, Planned(at="t", plan=plan, setup=SETUP)]

    def entries(self) -> list[Entry]:
        return list(self.all)

    def append(self, entry: Entry) -> None:
        self.all.append(entry)

    def hold(self) -> None:
        pass

    def now(self) -> str:
        return "t"

    def monotonic(self) -> float:
        return 0.0


def execute(nodes: Nodes, record: Record, plan: Plan) -> list[str]:
    """What was told, and how it ended."""
    seen: list[Event] = []
    try:
        Executor(nodes, record, record, seen.append).run(plan)  # type: ignore[arg-type]
    except StepFailed as failed:
        ended = failed.what
    else:
        ended = "all done"
    return [f"{e.kind} {e.step.verb} {e.step.target}".strip() for e in seen if e.kind != "start"] + [ended]


NO_ROOM = f"pod/{pod_name('clean', 'b')} on node/b: Unschedulable: no room"
STAYS = "pod/agent-b on node/b did not end within 120 s"
FAILURES = {
    "a pod that cannot run": (
        "clean",
        ["done unlabel node/c", "done unlabel node/b", "done unlabel node/a", "fail clean 3 nodes"],
        f"clean 3 nodes: {NO_ROOM}; the other nodes are finished",
        ["c", "a"],
        ["done clean 3 nodes", "done release node/b", "all done"],
    ),
    "an agent that does not end": (
        "agent",
        ["done unlabel node/c", "done unlabel node/b", "fail unlabel node/a", "done clean 2 of 3 nodes"],
        f"unlabel node/a: {STAYS}; the other nodes are finished",
        ["c", "a"],
        ["done unlabel node/a", "done clean 3 nodes", "done release node/b", "all done"],
    ),
}


@pytest.mark.parametrize(("what", "begins", "error", "cleaned", "resumed"), FAILURES.values(), ids=FAILURES)
def test_a_node_that_fails_is_named_and_the_others_are_finished(
    what: str, begins: list[str], error: str, cleaned: list[str], resumed: list[str]
) -> None:
    """Nothing of the failed node is taken for done: once it is mended, resume does what is left."""
    nodes, plan = Nodes("a", "b", "c", stuck={"b": what}), leaving("a", "b", "c")
    record = Record(plan, inventory("a", "b", "c"))
    assert execute(nodes, record, plan) == [*begins, "done release node/c", "done release node/a", error]
    assert (nodes.cleaned, nodes.pods, nodes.labels) == (cleaned, {}, {"a": {}, "b": {}, "c": {}})
    nodes.stuck.clear()
    assert execute(nodes, record, plan) == resumed
    assert nodes.cleaned == [*cleaned, "c", "b", "a"]
    assert execute(nodes, record, plan) == ["all done"]


@pytest.mark.parametrize(
    ("what", "given", "failed"),
    [
        ("slow", [120.0, 1.0, 1.0], "pod/gpuready-clean-{0} on node/{0} did not finish in 120 s: phase Pending"),
        ("agent", [120.0, 1.0], "pod/agent-{0} on node/{0} did not end within 120 s"),
    ],
    ids=["pods", "agents"],
)
def test_nodes_that_have_all_been_waited_for_are_not_waited_for_one_by_one(
    what: str, given: list[float], failed: str
) -> None:
    nodes, plan = Nodes("a", "b", "c", stuck={"b": what, "c": what}), leaving("a", "b", "c")
    *_, ended = execute(nodes, Record(plan, inventory("a", "b", "c")), plan)
    assert [seconds for seconds in nodes.given if seconds != 60 and seconds != 30][: len(given)] == given
    assert sorted(ended.partition(": ")[2].split("; ")) == sorted(
        [failed.format("b"), failed.format("c"), "the other nodes are finished"]
    )


def test_the_journal_has_the_clean_of_a_batch_as_done_once_it_is_done_everywhere() -> None:
    nodes, plan = Nodes("a", "b", stuck={"b": "agent"}), leaving("a", "b")
    record = Record(plan, inventory("a", "b"))
    execute(nodes, record, plan)
    done = [e.step for e in record.all if isinstance(e, Receipt)], [e.step for e in record.all if isinstance(e, Waited)]
    assert done == (["unlabel Node/b", "unlabel Node/a", "release Node/a"], ["release Node/a"])
    assert [e.step for e in record.all if isinstance(e, Intent)] == [
        "unlabel Node/b",
        "unlabel Node/a",
        "clean b,a",
        "release Node/a",
    ]
    assert NAMESPACE in str(plan.steps[2].action)
