"""A proposal: the plan for a spec, what it rests on, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from gpuready.components.gpu_operator.release import Live
from gpuready.engine.catalog import preflight_rules
from gpuready.engine.compose import Install, World, compose, refs_to_observe
from gpuready.engine.design import Choice, Design, design
from gpuready.engine.judge import asks, judge
from gpuready.engine.operator import OperatorDesign, operator_design
from gpuready.engine.operator_plan import operator_stages
from gpuready.engine.releases import observe
from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.journal import Inventory
from gpuready.model.plan import Plan, Skipped, Stage
from gpuready.model.ports import Charts, Cluster
from gpuready.model.rule import Verdict
from gpuready.model.spec import GPU_OPERATOR, Setup
from gpuready.model.unknown import Unknown


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, what it rests on, and what speaks against it."""

    setup: Setup
    plan: Plan
    cluster: ClusterFacts
    inventory: Inventory
    verdicts: tuple[Verdict, ...]

    @property
    def refused(self) -> tuple[Verdict, ...]:
        """What must be settled first: found, and also what could not be decided."""
        hard = [v for v in self.verdicts if v.effect == "refuse"]
        return tuple(v for v in hard if v.status in ("found", "undetermined", "crashed"))

    def effects(self, effect: str) -> tuple[Verdict, ...]:
        return tuple(v for v in self.verdicts if v.effect == effect and v.status == "found")


class Refused(UserError):
    """Nothing was changed, because of these verdicts."""

    def __init__(self, proposal: Proposal) -> None:
        super().__init__("gpuready does not go on", "settle what is named above, then run again")
        self.proposal = proposal


def propose(
    api: Cluster,
    setup: Setup,
    cluster: ClusterFacts,
    inventory: Inventory,
    charts: Charts | None = None,
    *,
    look_only: bool = False,
) -> Proposal:
    """The plan for this spec. Where the spec names no nodes, a node that speaks against itself is left out.

    `look_only`: what would be installed is not asked for, so that no chart is needed.
    """
    proposal = _propose(api, setup, cluster, inventory, charts, look_only)
    if setup.nodes.names or setup.nodes.match_labels:
        return proposal
    out = _nodes_against(proposal.refused)
    if not out:
        return proposal
    chosen = msgspec.structs.replace(setup.nodes, exclude=(*setup.nodes.exclude, *sorted(out)))
    again = _propose(api, msgspec.structs.replace(setup, nodes=chosen), cluster, inventory, charts, look_only)
    if not again.plan.stages and not inventory.items:
        return proposal  # no node is left: then what speaks against them is the answer
    skipped = [s for s in again.plan.skipped if s.target.removeprefix("node/") not in out]
    skipped += [Skipped(target=f"node/{n}", why=why) for n, why in sorted(out.items())]
    return msgspec.structs.replace(again, plan=msgspec.structs.replace(again.plan, skipped=tuple(skipped)))


def _propose(
    api: Cluster,
    setup: Setup,
    cluster: ClusterFacts,
    inventory: Inventory,
    charts: Charts | None,
    look_only: bool,
) -> Proposal:
    if isinstance(cluster.nodes, Unknown):
        raise UserError(f"the nodes cannot be listed: {cluster.nodes.why}", cluster.nodes.ask)
    wanted = design(setup, cluster, inventory)
    if wanted.choice.absent:
        raise UserError(
            f"the spec names nodes that the cluster has not: {', '.join(wanted.choice.absent)}",
            "kubectl get nodes shows the names",
        )
    facts = {
        "cluster": _of_others(cluster, inventory) if setup.stack == GPU_OPERATOR else cluster,
        "setup": setup,
        "looks": wanted.choice.looks,
        "inventory": inventory,
        "chosen": tuple(n.name for n in wanted.choice.nodes if not _without_gpu(wanted.choice, n.name)),
    }
    # what only the look can tell is judged after it: the plan says that it is pending
    rules = [r for r in preflight_rules() if not (wanted.choice.to_look and "looks" in asks(r))]
    verdicts = judge(rules, facts)
    refused = any(v.effect == "refuse" and v.status != "pass" for v in verdicts)
    install: Install | None = _nothing if setup.stack == GPU_OPERATOR else None
    if install and not (wanted.choice.to_look or refused or look_only):
        wanted, operator = operator_design(api, charts, wanted, setup, cluster, inventory)
        install = partial(operator_stages, operator, _release(api, operator, inventory))
    observed = {ref: api.get(ref) for ref in refs_to_observe(wanted, inventory)}
    world = World(setup=setup, cluster=cluster, inventory=inventory, observed=observed)
    plan = compose(wanted, world, install)
    return Proposal(setup=setup, plan=plan, cluster=cluster, inventory=inventory, verdicts=verdicts)


def _nothing(_wanted: Design, _world: World, _unchanged: list[str]) -> list[Stage]:
    """Something speaks against it: no chart is read for it."""
    return []


def _release(api: Cluster, operator: OperatorDesign, inventory: Inventory) -> Live | None:
    """The release as it is; somebody else's is not touched."""
    name, namespace = operator.action.release, operator.action.namespace
    found = observe(api, name, namespace)
    if found is not None and inventory.release is None:
        raise UserError(
            f"helm release {name} is in namespace {namespace} already ({found.status}) and is not ours",
            f"helm uninstall {name} -n {namespace}, if nothing needs it; or go on with it by helm",
        )
    return found


def _of_others(cluster: ClusterFacts, inventory: Inventory) -> ClusterFacts:
    """The cluster without what our own release of the operator has made: the rules ask what others do."""
    release = inventory.release
    if release is None:
        return cluster
    ours = {release.namespace}

    def others(found: Any) -> Any:
        return found if isinstance(found, Unknown) else tuple(f for f in found if f.namespace not in ours)

    return msgspec.structs.replace(cluster, stacks=(), pods=others(cluster.pods), daemonsets=others(cluster.daemonsets))


def _without_gpu(choice: Choice, node: str) -> bool:
    """The look has shown that there is none; a node that was not or could not be looked at stays in question."""
    look = choice.looks.get(node)
    return look is not None and not isinstance(look.gpus, Unknown) and not look.gpus


def _nodes_against(refused: Iterable[Verdict]) -> Mapping[str, str]:
    """Nodes to leave out, with the reason; empty when something speaks against the whole cluster."""
    out: dict[str, str] = {}
    for verdict in refused:
        if verdict.status != "found" or not all(f.nodes for f in verdict.findings):
            return {}
        for finding in verdict.findings:
            for node in finding.nodes:
                out.setdefault(node, finding.says)
    return out
