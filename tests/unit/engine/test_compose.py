"""From facts to a plan: which nodes, in which order, with which steps, and nothing when all is as wanted."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
import pytest

from gpuready.components.native_agent.component import namespace, render
from gpuready.engine.agents import offering
from gpuready.engine.compose import World, compose, refs_to_observe
from gpuready.engine.design import choose, design, injection_of
from gpuready.engine.leave import go_back
from gpuready.engine.ledger import replay
from gpuready.model.facts.cluster import ClusterFacts, Identity, Node, Pod, Taint
from gpuready.model.facts.host import DriverFiles, HostReport, PciGpu
from gpuready.model.journal import Intent, Inventory, Look, Planned, Receipt, Start, Waited
from gpuready.model.names import AGENT, AGENT_LABEL, NAMESPACE, RESOURCE, TEMPLATE_LABEL
from gpuready.model.plan import Apply, Patch, Plan, Probe, Ref, ref_of
from gpuready.model.spec import Image, NodeChoice, Setup, Toleration

IDENTITY = Identity(uid="c-1", server="https://api", name="prod", version="v1.34.4")
SETUP = Setup(image=Image(reference="registry/gpuready@sha256:" + "0" * 64))
LIB = "/usr/local/nvidia/lib64"


def node(name: str, **more: Any) -> Node:
    return Node(
        name=name, uid=f"uid-{name}", ready=True, kernel="6.1", runtime="containerd://2.2.9", kubelet="v1.34.4", **more
    )


def look(name: str, gpus: int = 1) -> Look:
    found = tuple(
        PciGpu(
            address=f"0000:{i:02x}:00.0", device_id="2330", pci_class="030200", kernel_driver="nvidia", numa_node=None
        )
        for i in range(gpus)
    )
    files = (DriverFiles(root="/usr/local/nvidia", lib_dir=LIB, version="580.65.06", nvidia_smi=None),)
    report = HostReport(node=name, gpus=found, kernel_driver_version="580.65.06", driver_files=files)
    return Look(node_uid=f"uid-{name}", kernel="6.1", at="2026-11-23T00:00:00Z", report=report)


def facts(nodes: list[Node], pods: tuple[Pod, ...] = ()) -> ClusterFacts:
    return ClusterFacts(identity=IDENTITY, nodes=tuple(nodes), pods=pods, daemonsets=(), stacks=(), own_namespace=None)


def plan_for(
    nodes: list[Node],
    looks: dict[str, Look],
    observed: dict[Ref, Any] | None = None,
    pods: tuple[Pod, ...] = (),
    setup: Setup = SETUP,
) -> Plan:
    cluster, inventory = facts(nodes, pods), Inventory(looks=looks)
    wanted = design(setup, cluster, inventory)
    seen: dict[Ref, Any] = dict.fromkeys(refs_to_observe(wanted, inventory)) | (observed or {})
    return compose(wanted, World(setup=setup, cluster=cluster, inventory=inventory, observed=seen))


def shape(plan: Plan) -> list[tuple[str, str, str]]:
    return [(stage.name, step.verb, step.target) for stage in plan.stages for step in stage.steps]


DS = "ds/gpuready-agent-usr-local-nvidia-lib64-cdi"


def test_before_the_look_only_the_look_is_planned() -> None:
    plan = plan_for([node("a"), node("b")], {})
    assert shape(plan) == [("look", "create", "ns/gpuready-system"), ("look", "look", "2 nodes")]
    assert plan.stages[1].pending == "needs the look at a, b"


def test_after_the_look_one_node_is_proved_before_the_next() -> None:
    plan = plan_for([node("a"), node("b"), node("c")], {"a": look("a", 2), "b": look("b"), "c": look("c", 0)})
    assert shape(plan) == [
        ("install", "create", "ns/gpuready-system"),
        ("install", "check", "pod admission"),
        ("install", "create", "sa/gpuready-agent"),
        ("install", "create", "clusterrole/gpuready-agent"),
        ("install", "create", "clusterrolebinding/gpuready-agent"),
        ("install", "create", "priorityclass/gpuready-probe"),
        ("install", "create", "validatingadmissionpolicy/gpuready-agent"),
        ("install", "create", "validatingadmissionpolicybinding/gpuready-agent"),
        ("install", "create", DS),
        ("first node", "label", "node/a"),
        ("first node", "compute", "node/a"),
        ("other nodes", "label", "node/b"),
    ]
    assert [(s.target, s.why) for s in plan.skipped] == [("node/c", "no NVIDIA GPU on its PCI bus")]
    assert plan.steps[9].wait == offering("a", 2, DS.removeprefix("ds/"))


def test_what_is_as_wanted_gives_an_empty_plan() -> None:
    live = {ref_of(o): o for o in [namespace(), *render(SETUP, [_layout()], (1, 34))]}
    template = live[Ref(api_version="apps/v1", kind="DaemonSet", name=DS[3:], namespace=NAMESPACE)]
    labels = template["spec"]["template"]["metadata"]["labels"]
    pod = Pod(namespace=NAMESPACE, name="agent-x", uid="p", node="a", labels=labels)
    labelled = node("a", labels={AGENT_LABEL: "usr-local-nvidia-lib64-cdi"})
    plan = plan_for([labelled], {"a": look("a")}, live, (pod,))
    assert (plan.stages, plan.pending) == ((), False)


def _layout() -> Any:
    return next(iter(design(SETUP, facts([node("a")]), Inventory(looks={"a": look("a")})).layouts.values()))


def test_an_agent_of_an_older_template_is_restarted() -> None:
    live = {ref_of(o): o for o in [namespace(), *render(SETUP, [_layout()], (1, 34))]}
    pod = Pod(
        namespace=NAMESPACE,
        name="agent-x",
        uid="p",
        node="a",
        owner=DS,
        labels={"app.kubernetes.io/name": "gpuready-agent", TEMPLATE_LABEL: "older"},
    )
    labelled = node("a", labels={AGENT_LABEL: "usr-local-nvidia-lib64-cdi"})
    plan = plan_for([labelled], {"a": look("a")}, live, (pod,))
    assert shape(plan) == [("first node", "restart", "pod/agent-x"), ("first node", "compute", "node/a")]


def test_before_1_30_the_policy_is_left_out_and_the_agent_writes_no_nodes() -> None:
    old = [o["kind"] for o in render(SETUP, [_layout()], (1, 29))]
    assert old == ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "DaemonSet"]
    args = render(SETUP, [_layout()], (1, 29))[-1]["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--no-node-writes" in args


@pytest.mark.parametrize(
    ("sentence", "setup", "one", "why"),
    [
        ("a Ready Linux node is taken", SETUP, node("a"), None),
        ("Windows is skipped", SETUP, node("a", os="windows"), "runs windows"),
        (
            "an unknown taint is skipped and named",
            SETUP,
            node("a", taints=(Taint(key="team", value="x", effect="NoSchedule"),)),
            "taint team=x:NoSchedule is not tolerated (nodes.tolerations)",
        ),
        (
            "the GPU taint is tolerated by default",
            SETUP,
            node("a", taints=(Taint(key="nvidia.com/gpu", effect="NoSchedule"),)),
            None,
        ),
        (
            "a taint tolerated in the spec is no hindrance",
            msgspec.structs.replace(SETUP, nodes=NodeChoice(tolerations=(Toleration(key="team"),))),
            node("a", taints=(Taint(key="team", value="x", effect="NoSchedule"),)),
            None,
        ),
        ("a preference is no hindrance", SETUP, node("a", taints=(Taint(key="x", effect="PreferNoSchedule"),)), None),
        (
            "an excluded node is left alone",
            msgspec.structs.replace(SETUP, nodes=NodeChoice(exclude=("a",))),
            node("a"),
            "excluded in the spec (nodes.exclude)",
        ),
    ],
)
def test_which_nodes_are_taken(sentence: str, setup: Setup, one: Node, why: str | None) -> None:
    choice = choose(setup, facts([one]), Inventory())
    assert [n.name for n in choice.nodes] == ([] if why else ["a"])
    assert [s.why for s in choice.skipped] == ([why] if why else [])


def test_a_look_of_another_kernel_or_node_is_not_believed() -> None:
    cluster = facts([node("a")])
    other = msgspec.structs.replace(look("a"), kernel="5.15")
    assert choose(SETUP, cluster, Inventory(looks={"a": other})).to_look == ("a",)
    assert choose(SETUP, cluster, Inventory(looks={"a": look("a")})).to_look == ()


@pytest.mark.parametrize(
    ("runtime", "expected"),
    [
        ("containerd://2.2.9", "cdi"),
        ("containerd://2.0.0-rc.1", "cdi"),
        ("containerd://1.7.27", "devices"),
        ("cri-o://1.34.1", "cdi"),
        ("cri-o://1.22.0", "devices"),
        ("docker://20.10.7", "devices"),
        ("", "devices"),
        ("nonsense", "devices"),
    ],
)
def test_how_devices_reach_pods(runtime: str, expected: str) -> None:
    assert injection_of(SETUP, msgspec.structs.replace(node("a"), runtime=runtime))[0] == expected


def executed(plan: Plan, inventory: Inventory) -> list[Any]:
    """The journal of a run in which every step succeeded."""
    at = "2026-11-23T00:00:00Z"
    out: list[Any] = [
        Start(run="r1", purpose="up", at=at, holder="h", version="0", inventory=inventory),
        Planned(at=at, plan=plan, setup=SETUP),
    ]
    for step in plan.steps:
        before = {f"/metadata/labels/{AGENT_LABEL.replace('/', '~1')}": None} if isinstance(step.action, Patch) else {}
        existed = isinstance(step.action, Patch)
        out.append(Intent(at=at, step=step.id, existed=existed, before=before))
        is_look = isinstance(step.action, Probe) and step.action.kind == "look"
        seen = {n: msgspec.to_builtins(look(n)) for n in ("a", "b")} if is_look else {}
        out.append(Receipt(at=at, step=step.id, uid=f"uid of {step.target}", facts=seen))
        if step.wait:
            out.append(Waited(at=at, step=step.id))
    return out


def test_the_way_back_undoes_every_step_in_reverse() -> None:
    """Uninstall is composed from the journal alone: all that was created goes, every label, last the namespace."""
    plan = plan_for([node("a"), node("b")], {"a": look("a"), "b": look("b")})
    run = replay(executed(plan, Inventory()))
    assert run is not None
    back = go_back(run.inventory, Inventory(), setup=SETUP, cluster_uid="c-1", purpose="uninstall")
    created = [ref_of(s.action.object) for s in plan.steps if isinstance(s.action, Apply)]
    deleted = [s.action.ref for s in back.steps if hasattr(s.action, "ref") and s.verb == "delete"]
    assert deleted == [*reversed(created[1:]), created[0]]
    assert [(s.verb, s.target) for s in back.steps[:5]] == [
        ("unlabel", "node/b"),
        ("unlabel", "node/a"),
        ("clean", "2 nodes"),
        ("release", "node/b"),
        ("release", "node/a"),
    ]
    unlabel = back.steps[0].action
    assert (unlabel.ours, unlabel.before) == (
        {"/metadata/labels/gpuready.dev~1agent": "usr-local-nvidia-lib64-cdi"},
        {"/metadata/labels/gpuready.dev~1agent": None},
    )


def agent(node: str, template: str, owner: str) -> Pod:
    labels = {"app.kubernetes.io/name": AGENT, TEMPLATE_LABEL: template}
    return Pod(namespace=NAMESPACE, name=f"agent-{node}", uid=f"pod-{node}", node=node, owner=owner, labels=labels)


def test_undo_of_a_second_run_goes_back_to_the_first() -> None:
    """A changed object is applied again as it was, and its agents restarted; what both runs hold is left alone."""
    first = replay(executed(plan_for([node("a")], {"a": look("a")}), Inventory()))
    assert first is not None
    now = copy.deepcopy(msgspec.to_builtins(first.inventory))
    for item in now["items"]:
        if item["ref"]["kind"] == "DaemonSet":
            old = item["applied"]["spec"]["template"]["metadata"]["labels"][TEMPLATE_LABEL]
            item["applied"]["spec"]["template"]["metadata"]["labels"] = {TEMPLATE_LABEL: "newer"}
    later = msgspec.convert(now, Inventory)
    pods = (agent("a", "newer", DS), agent("b", old, DS), agent("c", "newer", "ds/gpuready-agent-other"))
    cluster = facts([node("a", capacity={RESOURCE: 2}), node("b"), node("c")], pods)
    back = go_back(later, first.inventory, setup=SETUP, cluster_uid="c-1", purpose="undo", cluster=cluster)
    assert shape(back) == [("as before", "change", DS), ("as before", "restart", "pod/agent-a")]
    assert back.steps[1].wait == offering("a", 2, DS.removeprefix("ds/"))


def test_undo_of_another_injection_labels_the_nodes_as_before() -> None:
    """The DaemonSet of before is there again, and the node's label chooses it, before the other one goes."""
    first = replay(executed(plan_for([node("a")], {"a": look("a")}), Inventory()))
    assert first is not None
    now = msgspec.json.decode(msgspec.json.encode(first.inventory).replace(b"lib64-cdi", b"lib64-devices"))
    later = msgspec.convert(now, Inventory)
    cluster = facts([node("a", capacity={RESOURCE: 2})])
    back = go_back(later, first.inventory, setup=SETUP, cluster_uid="c-1", purpose="undo", cluster=cluster)
    assert shape(back) == [
        ("as before", "create", DS),
        ("as before", "label", "node/a"),
        ("objects", "delete", DS.replace("cdi", "devices")),
    ]
    relabel = back.steps[1].action
    assert isinstance(relabel, Patch)
    assert relabel.object["metadata"]["labels"] == {AGENT_LABEL: "usr-local-nvidia-lib64-cdi"}
    assert back.steps[1].wait == offering("a", 2, DS.removeprefix("ds/"))


def test_a_silent_node_is_said_to_be_undetermined_and_not_probed() -> None:
    run = replay(executed(plan_for([node("a")], {"a": look("a")}), Inventory()))
    assert run is not None
    back = go_back(run.inventory, Inventory(), setup=SETUP, cluster_uid="c-1", purpose="uninstall", silent_nodes=("a",))
    assert [s.why for s in back.skipped] == ["left as it is: files of ours on it are undetermined"]
    assert not [s for s in back.steps if isinstance(s.action, Probe)]
