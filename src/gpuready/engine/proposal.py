"""A proposal: the plan for a spec, what it rests on, and what speaks against it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from gpuready.engine.catalog import preflight_rules
from gpuready.engine.compose import World, compose, refs_to_observe
from gpuready.engine.design import Choice, design
from gpuready.engine.judge import asks, judge
from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import ClusterFacts
from gpuready.model.journal import Inventory
from gpuready.model.plan import Plan, Skipped
from gpuready.model.ports import Cluster
from gpuready.model.rule import Verdict
from gpuready.model.spec import Setup
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


def propose(api: Cluster, setup: Setup, cluster: ClusterFacts, inventory: Inventory) -> Proposal:
    """The plan for this spec. Where the spec names no nodes, a node that speaks against itself is left out."""
    proposal = _propose(api, setup, cluster, inventory)
    if setup.nodes.names or setup.nodes.match_labels:
        return proposal
    out = _nodes_against(proposal.refused)
    if not out:
        return proposal
    chosen = msgspec.structs.replace(setup.nodes, exclude=(*setup.nodes.exclude, *sorted(out)))
    again = _propose(api, msgspec.structs.replace(setup, nodes=chosen), cluster, inventory)
    if not again.plan.stages and not inventory.items:
        return proposal  # no node is left: then what speaks against them is the answer
    skipped = [s for s in again.plan.skipped if s.target.removeprefix("node/") not in out]
    skipped += [Skipped(target=f"node/{n}", why=why) for n, why in sorted(out.items())]
    return msgspec.structs.replace(again, plan=msgspec.structs.replace(again.plan, skipped=tuple(skipped)))


def _propose(api: Cluster, setup: Setup, cluster: ClusterFacts, inventory: Inventory) -> Proposal:
    if isinstance(cluster.nodes, Unknown):
        raise UserError(f"the nodes cannot be listed: {cluster.nodes.why}", cluster.nodes.ask)
    wanted = design(setup, cluster, inventory)
    if wanted.choice.absent:
        raise UserError(
            f"the spec names nodes that the cluster has not: {', '.join(wanted.choice.absent)}",
            "kubectl get nodes shows the names",
        )
    facts = {
        "cluster": cluster,
        "setup": setup,
        "looks": wanted.choice.looks,
        "inventory": inventory,
        "chosen": tuple(n.name for n in wanted.choice.nodes if not _without_gpu(wanted.choice, n.name)),
    }
    observed = {ref: api.get(ref) for ref in refs_to_observe(wanted, inventory)}
    world = World(setup=setup, cluster=cluster, inventory=inventory, observed=observed)
    plan = compose(wanted, world)
    # what only the look can tell is judged after it: the plan says that it is pending
    rules = [r for r in preflight_rules() if not (wanted.choice.to_look and "looks" in asks(r))]
    verdicts = judge(rules, facts)
    return Proposal(setup=setup, plan=plan, cluster=cluster, inventory=inventory, verdicts=verdicts)


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
