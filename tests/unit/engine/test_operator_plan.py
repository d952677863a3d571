"""Stack `gpu-operator`: from facts, a chart and a release to a plan, and from the inventory back."""

from __future__ import annotations

from functools import partial
from typing import Any

import msgspec
import pytest

from gpuready.components.gpu_operator.release import Live
from gpuready.engine.compose import World, compose, refs_to_observe
from gpuready.engine.design import design, served
from gpuready.engine.leave import go_back
from gpuready.engine.ledger import replay
from gpuready.engine.operator import operator_design
from gpuready.engine.operator_plan import operator_stages
from gpuready.model.chart import ChartFiles
from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import ClusterFacts, DaemonSet, Identity, Node
from gpuready.model.facts.host import DriverFiles, HostReport, PciGpu
from gpuready.model.journal import Intent, Inventory, Look, Planned, Receipt, Start, Waited
from gpuready.model.plan import Apply, Chart, Helm, Plan, Ref, ref_of
from gpuready.model.spec import GPU_OPERATOR, GpuOperator, Image, NodeChoice, OperatorDriver, Setup
from gpuready.model.unknown import Unknown

Json = dict[str, Any]
SETUP = Setup(stack=GPU_OPERATOR, image=Image(reference="registry/gpuready:1"))


def crd(name: str, *fields: str) -> Json:
    schema = {"openAPIV3Schema": {"properties": {f: {"type": "string"} for f in fields}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {"versions": [{"name": "v1", "schema": schema}]},
    }


class Charts:
    """One chart, whatever is asked for."""

    def read(self, source: str, name: str, version: str) -> ChartFiles:
        chart = Chart(source=source, name=name, version=version, digest="sha256:" + "c" * 64)
        inner = {"node-feature-discovery": (crd("nodefeatures.nfd.k8s-sigs.io", "a"),)}
        return ChartFiles(chart=chart, crds=(crd("clusterpolicies.nvidia.com", "a", "b"),), inner_crds=inner)


class Api:
    def __init__(self, **objects: Json) -> None:
        self.objects = objects

    def get(self, ref: Ref) -> Json | None:
        return self.objects.get(ref.kind)


def node(name: str, **more: Any) -> Node:
    return Node(name=name, uid=f"uid-{name}", ready=True, kernel="6.1", runtime="containerd://2.2.9", **more)


def look(name: str, gpus: int = 1, driver: str | Unknown | None = None) -> Look:
    pci = {"device_id": "2330", "pci_class": "030200", "kernel_driver": None, "numa_node": None}
    found = tuple(PciGpu(address=f"0000:{i:02x}:00.0", **pci) for i in range(gpus))
    files = (DriverFiles(root="/opt/nvidia", lib_dir="/opt/nvidia/lib64", version="580.65.06", nvidia_smi=None),)
    report = HostReport(
        node=name, gpus=found, kernel_driver_version=driver, driver_files=files if isinstance(driver, str) else ()
    )
    return Look(node_uid=f"uid-{name}", kernel="6.1", at="2026-11-23T00:00:00Z", report=report)


LOOKS = {"a": look("a", 2), "b": look("b"), "c": look("c", 0)}


def facts(*nodes: Node, version: str = "v1.34.4", daemonsets: tuple[DaemonSet, ...] = ()) -> ClusterFacts:
    identity = Identity(uid="c-1", server="https://api", version=version)
    return ClusterFacts(identity=identity, nodes=nodes, pods=(), daemonsets=daemonsets, stacks=(), own_namespace=None)


THREE = facts(node("a"), node("b"), node("c"))


def planned(
    setup: Setup = SETUP,
    cluster: ClusterFacts = THREE,
    inventory: Inventory | None = None,
    observed: dict[Ref, Json] | None = None,
    live: Live | None = None,
    api: Api | None = None,
) -> Plan:
    inventory = inventory or Inventory(looks=LOOKS)
    bare = design(setup, cluster, inventory)
    wanted, operator = operator_design(api or Api(), Charts(), bare, setup, cluster, inventory)  # type: ignore[arg-type]
    seen: dict[Ref, Any] = dict.fromkeys(refs_to_observe(wanted, inventory)) | (observed or {})
    world = World(setup=setup, cluster=cluster, inventory=inventory, observed=seen)
    return compose(wanted, world, partial(operator_stages, operator, live))


def shape(plan: Plan) -> list[tuple[str, str, str]]:
    return [(stage.name, step.verb, step.target) for stage in plan.stages for step in stage.steps]


def helm(plan: Plan) -> Helm:
    return next(s.action for s in plan.steps if isinstance(s.action, Helm))


def values(plan: Plan) -> dict[str, tuple[str, str]]:
    return {v.path: (v.value, v.origin) for v in plan.values}


def test_the_first_installation() -> None:
    plan = planned()
    assert shape(plan) == [
        ("prepare", "create", "ns/gpuready-system"),
        ("prepare", "create", "priorityclass/gpuready-probe"),
        ("prepare", "create", "ns/gpu-operator"),
        ("prepare", "create", "crd/clusterpolicies.nvidia.com"),
        ("prepare", "create", "crd/nodefeatures.nfd.k8s-sigs.io"),
        ("prepare", "check", "pod admission"),
        ("install", "install", "release/gpu-operator"),
        ("first node", "compute", "node/a"),
    ]
    wait = next(s.wait for s in plan.steps if s.verb == "install")
    assert wait is not None
    assert wait.args == {"namespaces": "gpu-operator", "gpus": "a=2,b=1"}
    assert [s.target for s in plan.skipped] == ["node/c"]
    assert values(plan)["operator"] == ("26.7.0", "detected")
    assert "driver.enabled" not in values(plan)


def test_a_driver_on_every_gpu_node_is_used() -> None:
    plan = planned(inventory=Inventory(looks={n: look(n, 1, "580.65.06") for n in "abc"}))
    told = values(plan)
    assert (told["driver.enabled"], told["hostPaths.driverInstallDir"]) == (
        ("false", "detected"),
        ("/opt/nvidia", "detected"),
    )


def test_whether_there_is_a_driver_must_be_known() -> None:
    looks = {"a": look("a", 1, Unknown("permission denied"))}
    with pytest.raises(UserError, match="whether a driver is loaded on node/a is not known: permission denied"):
        planned(cluster=facts(node("a")), inventory=Inventory(looks=looks))
    asked = msgspec.structs.replace(SETUP, gpu_operator=GpuOperator(driver=OperatorDriver(owner="operator")))
    assert helm(planned(asked, facts(node("a")), Inventory(looks=looks))).values == {"operator": {"upgradeCRD": False}}


def test_discovery_that_runs_already_stays_the_only_one() -> None:
    worker = DaemonSet(
        namespace="nfd", name="worker", uid="1", images=("registry.k8s.io/nfd/node-feature-discovery:v0.18.2",)
    )
    plan = planned(cluster=facts(node("a"), node("b"), node("c"), daemonsets=(worker,)))
    assert values(plan)["nfd.enabled"] == ("false", "detected")
    assert not any("nfd.k8s-sigs.io" in s.target for s in plan.steps)


def test_old_releases_need_a_second_namespace_and_a_runtime() -> None:
    asked = msgspec.structs.replace(SETUP, gpu_operator=GpuOperator(version="1.8.2"))
    plan = planned(asked, facts(node("a"), node("b"), node("c"), version="v1.20.15"))
    spaces = [s.target for s in plan.steps if s.target.startswith("ns/")]
    assert spaces == ["ns/gpuready-system", "ns/gpu-operator", "ns/gpu-operator-resources"]
    assert values(plan)["operator.defaultRuntime"] == ("containerd", "detected")


def test_nodes_that_are_not_meant_are_kept_off() -> None:
    """But those that a look has found to have no GPU; and no longer when they are meant again."""
    named = msgspec.structs.replace(SETUP, nodes=NodeChoice(names=("a",)))
    assert [s.id for s in planned(named).steps if s.verb == "label"] == [
        "label Node/b operands=false",
        "label Node/c operands=false",
    ]
    elsewhere = msgspec.structs.replace(named, gpu_operator=GpuOperator(operands_elsewhere=True))
    assert [s for s in planned(elsewhere).steps if s.verb == "label"] == []


def test_a_containerd_in_another_place_is_told_to_the_toolkit() -> None:
    nodes = [node(n, kubelet="v1.34.1+rke2r1") for n in "abc"]
    assert values(planned(cluster=facts(*nodes)))["toolkit.env"][1] == "platform"
    mixed = facts(nodes[0], node("b", labels={"microk8s.io/cluster": "true"}), node("c"))
    with pytest.raises(UserError, match="whose containerd lies in different places"):
        planned(cluster=mixed)


@pytest.mark.parametrize(
    ("sentence", "secret", "says"),
    [
        ("there is none", None, "secret/ngc is not in namespace gpu-operator, and gpuOperator.pullSecret names it"),
        ("of another type", {"type": "Opaque"}, "secret/ngc in namespace gpu-operator is of type Opaque"),
        ("as it must be", {"type": "kubernetes.io/dockerconfigjson"}, ""),
    ],
)
def test_the_pull_secret_is_there_before_anything(sentence: str, secret: Json | None, says: str) -> None:
    asked = msgspec.structs.replace(SETUP, gpu_operator=GpuOperator(pull_secret="ngc"))
    api = Api(**({"Secret": secret} if secret else {}))
    if not says:
        assert helm(planned(asked, api=api)).values["toolkit"] == {"imagePullSecrets": ["ngc"]}
        return
    with pytest.raises(UserError) as error:
        planned(asked, api=api)
    assert error.value.what.startswith(says), sentence


def executed(plan: Plan, inventory: Inventory) -> list[Any]:
    """A journal in which every step was done on objects that were not there."""
    start = Start(run="r", purpose="up", at="t", holder="h", version="0", inventory=inventory)
    entries: list[Any] = [start, Planned(at="t", plan=plan, setup=SETUP)]
    for step in plan.steps:
        before = {"a": {"/metadata/labels/nvidia.com~1gpu.present": "true"}} if isinstance(step.action, Helm) else {}
        entries.append(Intent(at="t", step=step.id, before=before))
        entries.append(Receipt(at="t", step=step.id, uid=f"uid of {step.target}"))
        entries.append(Waited(at="t", step=step.id))
    return entries


def installed() -> tuple[Plan, Inventory, dict[Ref, Json], Live]:
    plan = planned()
    run = replay(executed(plan, Inventory(looks=LOOKS)))
    assert run is not None
    objects = [s.action.object for s in plan.steps if isinstance(s.action, Apply)]
    action = helm(plan)
    live = Live(
        revision=1, status="deployed", chart="gpu-operator", version="v26.7.0", values=action.values, deployed=1
    )
    inventory = msgspec.structs.replace(run.inventory, looks=LOOKS)
    return plan, inventory, {ref_of(o): dict(o) for o in objects}, live


def test_what_is_as_it_should_be_is_left_alone() -> None:
    _, inventory, objects, live = installed()
    plan = planned(inventory=inventory, observed=objects, live=live)
    assert (plan.stages, plan.unchanged[-3:]) == ((), ("release/gpu-operator", "node/a", "node/b"))
    assert served(inventory) == ("a", "b")


def test_values_that_somebody_changed_are_put_right() -> None:
    _, inventory, objects, live = installed()
    changed = msgspec.structs.replace(live, values={"driver": {"enabled": False}}, revision=2, deployed=2)
    plan = planned(inventory=inventory, observed=objects, live=changed)
    assert [(s.verb, s.target) for s in plan.steps if s.verb != "check"] == [
        ("upgrade", "release/gpu-operator"),
        ("compute", "node/a"),
    ]
    upgrade = next(s for s in plan.steps if s.verb == "upgrade")
    assert {(c.path, str(c.before), str(c.after)) for c in upgrade.changes} == {
        (".driver", "{'enabled': False}", "None"),
        (".operator", "None", "{'upgradeCRD': False}"),
    }


def test_a_stale_crd_is_changed_and_told() -> None:
    stale = crd("clusterpolicies.nvidia.com", "a", "old")
    plan = planned(observed={ref_of(stale): stale})
    (step,) = [s for s in plan.steps if s.verb == "change"]
    assert (step.target, step.why) == (
        "crd/clusterpolicies.nvidia.com",
        "of another chart version: 1 field more, 1 field less",
    )
    assert isinstance(step.action, Apply)
    assert step.action.force
    assert "labels" not in step.action.object["metadata"]


def test_the_way_back() -> None:
    """The release first, then what nodes have got since, CRDs, namespaces; what a node had before stays."""
    _, inventory, _, _ = installed()
    labels = {"nvidia.com/gpu.present": "true", "nvidia.com/gpu.count": "2", "team": "x"}
    cluster = facts(node("a", labels=labels), node("b"), node("c"))
    back = go_back(inventory, Inventory(), setup=SETUP, cluster_uid="c-1", purpose="uninstall", cluster=cluster)
    assert [(s.verb, s.target) for s in back.steps] == [
        ("uninstall", "release/gpu-operator"),
        ("unmark", "node/a"),
        ("delete", "crd/nodefeatures.nfd.k8s-sigs.io"),
        ("delete", "crd/clusterpolicies.nvidia.com"),
        ("delete", "ns/gpu-operator"),
        ("delete", "priorityclass/gpuready-probe"),
        ("delete", "ns/gpuready-system"),
    ]
    unmark = back.steps[1].action
    assert (unmark.ours, unmark.before) == (
        {"/metadata/labels/nvidia.com~1gpu.count": "2"},
        {"/metadata/labels/nvidia.com~1gpu.count": None},
    )
