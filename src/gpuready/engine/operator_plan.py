"""Stages of stack `gpu-operator`: namespaces, CRDs, the release, one node proved. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from gpuready.components.gpu_operator.release import Live
from gpuready.components.native_agent.probes import compute_pod
from gpuready.engine.compose import World, held, namespace_steps, step
from gpuready.engine.crds import schema_changes
from gpuready.engine.design import Design
from gpuready.engine.diff import changes
from gpuready.engine.operator import OPERANDS, OperatorDesign
from gpuready.model.digest import digest
from gpuready.model.names import MANAGED_BY
from gpuready.model.plan import (
    Apply,
    Compensating,
    DryRun,
    FieldChange,
    Patch,
    Probe,
    Restore,
    Stage,
    Step,
    Wait,
    ref_of,
)
from gpuready.model.unknown import known

Json = dict[str, Any]
OFF_POINTER = "/metadata/labels/" + OPERANDS.replace("/", "~1")
READY_SECONDS = 1800  # a driver container compiles for 10 to 20 minutes
STAYS = Compensating("stays as updated: an older schema could drop fields of other people's objects")


def operator_stages(
    operator: OperatorDesign, live: Live | None, wanted: Design, world: World, unchanged: list[str]
) -> list[Stage]:
    """What leads from the world to the design; `live`: the release as it is."""
    if not operator.gpus:
        return []
    before = [*namespace_steps(world), *_objects(wanted, world, unchanged)]
    apart = [*_kept_off(operator, world), *_no_longer_off(operator, world)]
    release = _release(operator, live, world)
    if not release:
        unchanged.append(str(operator.action.ref))
        unchanged.extend(f"node/{n}" for n in sorted(operator.gpus))
    checks = [_admission(operator, world)] if release else []
    return [
        Stage(name="prepare", steps=(*before, *checks, *apart)),
        Stage(name="install", steps=tuple(release)),
        Stage(name="first node", steps=tuple(_proof(operator, world)) if release else ()),
    ]


def _objects(wanted: Design, world: World, unchanged: list[str]) -> Iterator[Step]:
    for obj in wanted.objects:
        live = world.observed.get(ref_of(obj))
        ours = world.inventory.item(ref_of(obj))
        created = ours.created if ours else live is None
        want = _claimed(obj) if created else obj
        diff = changes(want, live)
        if not diff:
            unchanged.append(str(ref_of(obj)))
        elif obj["kind"] == "CustomResourceDefinition":
            yield _crd(want, live, diff)
        elif obj["kind"] == "Namespace" and not created:
            yield step("change", Patch(obj), "Pod Security must allow the privileged operands", live, diff)
        else:
            yield step("create" if live is None else "change", Apply(want), WHY[obj["kind"]], live, diff)


WHY = {
    "PriorityClass": "probes preempt nobody and add no nodes",
    "Namespace": "for the operator and its privileged operands",
}


def _claimed(obj: Json) -> Json:
    """What we create carries the label by which a later run knows it."""
    meta = obj["metadata"]
    return {**obj, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), **MANAGED_BY}}}


def _crd(want: Json, live: Json | None, diff: tuple[FieldChange, ...]) -> Step:
    ref = ref_of(want)
    wait = Wait(until="crd-established", args={"crd": ref.name}, seconds=60)
    if live is None:
        made = step("create", Apply(want), "of the chart, before any object of it", None, (), wait)
        return msgspec.structs.replace(made, changes=tuple(schema_changes(want, None)))
    told = tuple(schema_changes(want, live)) or diff[:1]
    changed = step("change", Apply(want, force=True), _what(told), live, told, wait)
    return msgspec.structs.replace(changed, undo=STAYS, expects=digest([None] * len(told)))


def _what(told: tuple[FieldChange, ...]) -> str:
    """The one sentence of the plan; `--diff` names each field."""
    added, removed = sum(c.before is None for c in told), sum(c.after is None for c in told)
    parts = [f"{n} field{'' if n == 1 else 's'} {what}" for n, what in ((added, "more"), (removed, "less")) if n]
    return f"of another chart version: {', '.join(parts) or 'its schema differs'}"


def _kept_off(operator: OperatorDesign, world: World) -> Iterator[Step]:
    labels = {n.name: n.labels.get(OPERANDS) for n in known(world.cluster.nodes)}
    for name in operator.off:
        if labels.get(name) == "false":
            continue
        obj = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {OPERANDS: "false"}}}
        change = FieldChange(path=f".metadata.labels[{OPERANDS}]", before=labels.get(name), after="false")
        yield Step(
            id=f"label Node/{name} operands=false",
            verb="label",
            target=f"node/{name}",
            action=Patch(obj),
            why="not meant by the spec: the operator keeps off",
            expects=digest([change.before]),
            changes=(change,),
        )


def _no_longer_off(operator: OperatorDesign, world: World) -> Iterator[Step]:
    for item in world.inventory.items:
        if item.ref.kind == "Node" and OFF_POINTER in item.ours and item.ref.name not in operator.off:
            ours, before = {OFF_POINTER: "false"}, {OFF_POINTER: item.before.get(OFF_POINTER)}
            yield Step(
                id=f"unlabel Node/{item.ref.name} operands",
                verb="unlabel",
                target=str(item.ref),
                action=Restore(item.ref, item.uid, ours, before),
                why="meant by the spec again",
            )


def _release(operator: OperatorDesign, live: Live | None, world: World) -> list[Step]:
    action = operator.action
    if live is not None and live.is_as(action) and world.inventory.item(action.ref):
        return []
    upgrade = live is not None and live.deployed > 0
    gpus = ",".join(f"{n}={g}" for n, g in sorted(operator.gpus.items()))
    args = {"namespaces": ",".join(n["metadata"]["name"] for n in operator.namespaces), "gpus": gpus}
    back = "the chart and the values of before, by helm" if upgrade else "helm uninstall"
    return [
        Step(
            id=f"helm {action.release} {action.chart.digest[-12:]} {action.digest[:12]}",
            verb="upgrade" if upgrade else "install",
            target=f"release/{action.release}",
            action=action,
            why=f"chart {action.chart.name} {action.chart.version}",
            interrupts="GPU pods, where the driver is replaced" if upgrade else "new GPU pods until it is ready",
            undo=Compensating(back),
            wait=Wait(until="operator-ready", args=args, seconds=READY_SECONDS),
            changes=tuple(_value_changes(action.values, live)),
        )
    ]


def _value_changes(values: Mapping[str, Any], live: Live | None) -> Iterator[FieldChange]:
    before = (live.values if live else None) or {}
    for key in sorted({*values, *before}):
        if values.get(key) != before.get(key):
            yield FieldChange(path=f".{key}", before=before.get(key), after=values.get(key))


def _admission(operator: OperatorDesign, world: World) -> Step:
    """Operands are privileged pods with paths of the host: may such a one be created in their namespace?"""
    namespace = operator.namespaces[-1]["metadata"]["name"]
    container = {
        "name": "check",
        "image": world.setup.image.reference if world.setup.image else "check",
        "securityContext": {"privileged": True},
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "10m", "memory": "16Mi"}},
        "volumeMounts": [{"name": "run", "mountPath": "/host"}],
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "gpuready-operand-check", "namespace": namespace},
        "spec": {"containers": [container], "volumes": [{"name": "run", "hostPath": {"path": "/run"}}]},
    }
    return Step(
        id=f"check pod in {namespace}",
        verb="check",
        target="pod admission",
        action=DryRun(pod),
        why="Pod Security, policies, webhooks and quota must admit the operands",
    )


def _proof(operator: OperatorDesign, world: World) -> Iterator[Step]:
    node = next((n for n in sorted(operator.gpus) if not held(n, world)), None)
    if node is None:
        return
    gpus = operator.gpus[node]
    nonce = digest([world.cluster.identity.uid, node, operator.action.digest, world.setup])
    pod = compute_pod(world.setup, node, gpus, nonce, operator.runtime_class)
    yield Step(
        id=f"compute on {node} {nonce[:8]}",
        verb="compute",
        target=f"node/{node}",
        action=Probe(kind="compute", pods={node: pod}, nonce=nonce),
        why="proves that pods can use what the operator serves",
        interrupts=f"holds its {gpus} GPU{'s' if gpus > 1 else ''} for seconds",
    )
