"""The doctor's diagnosis narrowed to one pod or node: what concerns it, what each link of its chain rests on. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import msgspec

from gpuready.engine import catalog
from gpuready.engine.diagnose import LAYER, explain
from gpuready.engine.judge import judge_rule
from gpuready.engine.proofs import Proofs, proofs_of
from gpuready.knowledge.speakers import family
from gpuready.model.chain import LINKS, position
from gpuready.model.diagnosis import Diagnosis
from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import ClusterFacts, Node, Pod
from gpuready.model.placement import unmet, untolerated
from gpuready.model.rule import Finding, Rule, Verdict
from gpuready.model.unknown import Unknown, known, members
from gpuready.model.why import LinkState, NodeGpus, Why
from gpuready.rules.diagnose._objects import FAMILIES, asks, gpus, holders, meant_for_gpus

MOST_NODES = 8  # shown
CHAIN = LINKS[:-1]  # nothing depends on monitoring


class Target(NamedTuple):
    """`pod` None: the node itself is asked about. `nodes`: where it is, or where it could be."""

    name: str
    pod: Pod | None
    nodes: tuple[Node, ...]
    kept_off: tuple[str, ...] = ()


def why(facts: Mapping[str, Any], target: Target) -> Why:
    """Facts as for `diagnose`."""
    rules = {rule.id: rule for rule in catalog.rules(LAYER)}
    whole = [judge_rule(rule, facts) for rule in rules.values()]
    near = _near(facts, target)
    decided = [_decided(verdict, rules[verdict.rule], near) for verdict in whole]
    verdicts = [narrowed(verdict, rules[verdict.rule], target) for verdict in decided]
    diagnosis = explain(rules, verdicts)
    proofs = proofs_of(facts, target.pod, target.nodes)
    return Why(
        target=target.name,
        state=proofs.state,
        well=proofs.well,
        rests_on=proofs.rests_on if proofs.well else (),
        links=tuple(_links(rules, verdicts, diagnosis, proofs)),
        waits_for=tuple(_waits_for(target.pod)) if target.pod else (),
        nodes=_gpus_of(facts["cluster"], target),
        kept_off=target.kept_off,
        diagnosis=diagnosis,
        next=_next(diagnosis, proofs),
    )


# -- whom it is about


def pod_target(cluster: ClusterFacts, name: str, namespace: str | None) -> Target:
    """Raises UserError for a pod that is not there, naming the nearest, or that is in several namespaces."""
    pods = members(cluster.pods) if not isinstance(cluster.pods, Unknown) else ()
    found = [p for p in pods if p.name == name and namespace in (None, p.namespace)]
    if len(found) > 1:
        places = ", ".join(sorted(p.namespace for p in found))
        raise UserError(f"pod/{name} is in several namespaces: {places}", "choose one with -n")
    if not found:
        keys = [p.key for p in pods]
        raise _missing("pod", f"{namespace}/{name}" if namespace else name, keys, cluster.pods)
    pod = found[0]
    nodes, kept_off = _where(cluster, pod)
    return Target(f"pod/{pod.key}", pod, nodes, kept_off)


def node_target(cluster: ClusterFacts, name: str) -> Target:
    """Raises UserError for a node that is not there, naming the nearest."""
    nodes = members(cluster.nodes) if not isinstance(cluster.nodes, Unknown) else ()
    found = tuple(node for node in nodes if node.name == name)
    if not found:
        raise _missing("node", name, [node.name for node in nodes], cluster.nodes)
    return Target(f"node/{name}", None, found)


def _missing(kind: str, name: str, names: list[str], read: tuple[Any, ...] | Unknown) -> UserError:
    if isinstance(read, Unknown):
        return UserError(f"whether {kind}/{name} is there could not be read: {read.why}", read.ask)
    short = {n.rpartition("/")[2]: n for n in names}
    near = get_close_matches(name, names, 1) or [short[n] for n in get_close_matches(name.rpartition("/")[2], short, 1)]
    namespace, _, bare = near[0].rpartition("/") if near else ("", "", "")
    hint = (
        f"did you mean {kind}/{bare}{f' -n {namespace}' if namespace else ''}?" if near else f"kubectl get {kind}s -A"
    )
    return UserError(f"there is no {kind}/{name} in what was read", hint)


def _where(cluster: ClusterFacts, pod: Pod) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The node that it is on; else those with GPUs that its selector, affinity and tolerations let it run on."""
    nodes = () if isinstance(cluster.nodes, Unknown) else members(cluster.nodes)
    if pod.node:
        return tuple(node for node in nodes if node.name == pod.node), ()
    fit, kept_off = [], []
    for node in nodes:
        if not (meant_for_gpus(node) or gpus(node.allocatable)):
            continue
        lacks = unmet(pod.placement, node) if pod.placement else ()
        taints = [f"taint {t}" for t in untolerated(pod.placement, node)] if pod.placement else []
        reasons = [*(f"it lacks {one}" for one in lacks), *taints, *(["it is cordoned"] if node.unschedulable else [])]
        if reasons:
            kept_off.append(f"node/{node.name}: {', '.join(reasons)}")
        else:
            fit.append(node)
    return tuple(fit), tuple(kept_off)


# -- what concerns it


def narrowed(verdict: Verdict, rule: Rule, target: Target) -> Verdict:
    """The verdict with the findings that concern the target; without any, what could not be read stays open."""
    kept = tuple(f for f in verdict.findings if _concerns(f, rule, target))
    if len(kept) == len(verdict.findings):
        return verdict
    status = "found" if kept else "undetermined" if verdict.missing else "pass"
    return msgspec.structs.replace(verdict, findings=kept, status=status)


def _near(facts: Mapping[str, Any], target: Target) -> Mapping[str, Any]:
    """The facts of its own nodes; empty where none is known."""
    names = {node.name for node in target.nodes}
    if not names:
        return {}
    by_node = {
        name: {node: told for node, told in facts[name].items() if node in names}
        for name in ("agents", "hosts")
        if isinstance(facts.get(name), Mapping)
    }
    return {**facts, **by_node, "cluster": msgspec.structs.replace(facts["cluster"], nodes=target.nodes)}


def _decided(verdict: Verdict, rule: Rule, near: Mapping[str, Any]) -> Verdict:
    """What is open because of other nodes alone is not open here: asked of its own nodes, the rule passes."""
    if verdict.status != "undetermined" or not near:
        return verdict
    again = judge_rule(rule, near)
    return again if again.status in ("pass", "not-applicable", "undetermined") else verdict


def _concerns(finding: Finding, rule: Rule, target: Target) -> bool:
    """About the pod itself; or about its nodes or the whole cluster, and not merely about somebody else's pod."""
    if target.pod and target.pod.key in finding.pods:
        return True
    if position(rule.link) >= len(CHAIN):
        return False
    names = {node.name for node in target.nodes}
    if finding.nodes and names.isdisjoint(finding.nodes):
        return False
    if not finding.pods or (target.pod is None and finding.nodes):
        return True
    return any(family(pod.rpartition("/")[2]) in FAMILIES for pod in finding.pods)


# -- what is known of each link


def _links(
    rules: Mapping[str, Rule], verdicts: list[Verdict], diagnosis: Diagnosis, proofs: Proofs
) -> Iterator[LinkState]:
    causes = {cause.found.rule for cause in diagnosis.causes}
    broken = [position(cause.found.link) for cause in diagnosis.causes if not cause.found.symptom]
    first = min(broken, default=len(CHAIN))
    for link in CHAIN:
        own = [v for v in verdicts if rules[v.rule].link == link]
        found = [f"{v.rule}{'' if v.rule in causes else ' (follows)'}: {f.says}" for v in own for f in v.findings]
        open_ = next((v for v in own if v.status in ("undetermined", "crashed")), None)
        if found:
            yield LinkState(link=link, state="broken", says=tuple(dict.fromkeys(found)))
        elif proof := proofs.of.get(link):
            yield LinkState(link=link, state="ok", says=proof)
        elif position(link) > first:
            yield LinkState(link=link, state="not reached")
        elif open_:
            yield LinkState(link=link, state="unknown", says=(open_.missing,), ask=open_.ask)
        else:
            yield LinkState(link=link, state="silent", says=(f"{len(own)} checks found nothing against it",))


def _waits_for(pod: Pod) -> Iterator[str]:
    if pod.unscheduled:
        yield f"a node: {pod.unscheduled}"
    if pod.message or (pod.reason and pod.phase == "Failed"):
        yield ": ".join(filter(None, (pod.reason, pod.message)))
    for container in pod.containers:
        kind, _, reason = container.state.partition(":")
        if kind == "waiting":
            what = "init container" if container.init else "container"
            why_not = ": ".join(filter(None, (reason, container.message)))
            yield f"{what} {container.name}: {why_not or 'not started yet'}"


def _gpus_of(cluster: ClusterFacts, target: Target) -> tuple[NodeGpus, ...]:
    """Who holds the GPUs of its nodes, as the API tells it."""
    by_node = holders(() if isinstance(cluster.pods, Unknown) else members(cluster.pods))
    return tuple(
        NodeGpus(
            node=node.name,
            allocatable=sum(gpus(node.allocatable).values()),
            held=tuple(f"{pod.key} holds {sum(asks(pod).values())}" for pod in by_node.get(node.name, ())),
        )
        for node in target.nodes[:MOST_NODES]
    )


def _next(diagnosis: Diagnosis, proofs: Proofs) -> str:
    """Of the first cause; else the reading that decides."""
    step = next((c.found.finding.next for c in diagnosis.causes if c.found.finding.next), "")
    return step or ("" if proofs.well else next((o.ask for o in diagnosis.unread if o.ask), ""))


def read(facts: Mapping[str, Any]) -> ClusterFacts:
    cluster: ClusterFacts = known(facts["cluster"])
    return cluster
