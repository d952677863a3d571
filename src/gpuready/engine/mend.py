"""From a diagnosis to a plan that mends it, and from the evidence read afterwards to what came of it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from gpuready.components.native_agent.component import namespace
from gpuready.engine import catalog
from gpuready.engine.compose import step as made_step
from gpuready.engine.crds import schema_changes
from gpuready.engine.diff import changes
from gpuready.engine.judge import judge_rule
from gpuready.engine.leave import NS
from gpuready.engine.ledger import MEND, at_pointer, keys_of
from gpuready.engine.proposal import Proposal
from gpuready.engine.runtime_steps import with_pod
from gpuready.knowledge.nodes import gitops_owners
from gpuready.model.chain import position
from gpuready.model.diagnosis import Diagnosis, Found
from gpuready.model.digest import digest
from gpuready.model.errors import UserError
from gpuready.model.facts.said import Said
from gpuready.model.journal import Inventory
from gpuready.model.plan import Apply, Edit, FieldChange, Plan, RuntimeEntry, Stage, Step, Value
from gpuready.model.ports import Cluster
from gpuready.model.remedy import Answer, Answered, ByHand, Mend, Outcome, Remedy, Respec
from gpuready.model.rule import Finding
from gpuready.model.spec import Setup
from gpuready.model.unknown import TouchedUnknown, Unknown

Json = dict[str, Any]
Propose = Callable[[Setup], Proposal]


class Mending(msgspec.Struct, frozen=True, kw_only=True):
    """The plan, and each cause with what is done about it: by the plan, or by hand."""

    plan: Plan
    setup: Setup
    answered: tuple[Answered, ...]

    @property
    def mended(self) -> tuple[Found, ...]:
        return tuple(a.found for a in self.answered if not isinstance(a.answer, ByHand))

    @property
    def by_hand(self) -> tuple[Answered, ...]:
        return tuple(a for a in self.answered if isinstance(a.answer, ByHand))


# -- what is to be done


def answer(remedy: Remedy | None, finding: Finding, facts: Mapping[str, Any]) -> Answer:
    """What the remedy says; without one, or where it cannot see, what a person has to do."""
    do = finding.next or "see what the evidence says"
    if remedy is None:
        return ByHand(because="gpuready has no remedy for it", do=do)
    wanted = tuple(inspect.signature(remedy.mend).parameters)[1:]
    given = {name: facts.get(name, Unknown(f"fact {name!r} was not gathered")) for name in wanted}
    try:
        for fact in given.values():
            if isinstance(fact, Unknown):
                raise TouchedUnknown(fact)
        return remedy.mend(finding, **given)
    except TouchedUnknown as touched:
        return ByHand(because=f"its remedy cannot see enough: {touched.unknown.why}", do=do)
    except Exception as error:  # a remedy's own fault must cost only its own mend
        return ByHand(because=f"its remedy is at fault ({type(error).__name__})", do=do)


def answers(diagnosis: Diagnosis, facts: Mapping[str, Any], only: str = "") -> Iterator[Answered]:
    """For each cause in the order of the chain. `only`: the rule that is meant; without it what only fits is left."""
    remedies = catalog.remedies()
    causes = [c.found for c in diagnosis.causes if not only or c.found.rule == only]
    for found in sorted(causes, key=lambda f: position(f.link)):
        if not found.finding.sure and not only:
            because = f"the words only fit it; `gpuready doctor --fix {found.rule}` mends it all the same"
            yield Answered(found, ByHand(because=because, do=found.finding.next))
            continue
        said = answer(remedies.get(found.rule), found.finding, facts)
        if isinstance(said, Respec):  # the next one begins from there
            inventory: Inventory = facts["inventory"]
            facts = {**facts, "inventory": msgspec.structs.replace(inventory, setup=said.setup)}
        yield Answered(found, said)


def plan_mend(
    api: Cluster,
    answered: Iterable[Answered],
    inventory: Inventory,
    uid: str,
    propose: Propose,
    bare: Setup | None = None,
) -> Mending:
    """The steps of all answers, as they must be for what is there now; those that cannot be taken are by hand.

    `bare`: what our pods are made from where nothing of ours is installed, or without an image.
    """
    setup = inventory.setup or bare or Setup()
    of_pods = setup if setup.image else bare or setup
    out: list[Answered] = []
    stages: list[Stage] = []
    values: list[Value] = []
    respecs: list[Answered] = []
    for one in answered:
        match one.answer:
            case Mend(steps=wanted):
                steps = _steps(api, one.found, wanted, of_pods)
                if isinstance(steps, ByHand):
                    out.append(Answered(one.found, steps))
                    continue
                named = {s.id for stage in stages for s in stage.steps}  # two pods of one node may need one mend
                stages.append(Stage(name=one.found.rule, steps=tuple(s for s in steps if s.id not in named)))
            case Respec():
                respecs.append(one)
                continue
        out.append(one)
    if respecs:
        last = respecs[-1].answer
        assert isinstance(last, Respec)
        proposed = _respec(propose, last)
        if isinstance(proposed, ByHand):
            out += [Answered(r.found, proposed) for r in respecs]
        else:
            setup = last.setup
            stages += proposed
            out += respecs
            values += [_value(r.answer) for r in respecs if isinstance(r.answer, Respec)]
    stages = [s for s in stages if s.steps]
    if any(isinstance(s.action, RuntimeEntry) for stage in stages for s in stage.steps) and setup.image is None:
        setup = msgspec.structs.replace(setup, image=of_pods.image)  # the way back needs such a pod too
    if stages and api.get(NS) is None:
        stages.insert(0, _journal())
    plan = Plan(cluster_uid=uid, purpose="mend", spec_digest=digest(setup), stages=tuple(stages), values=tuple(values))
    out.sort(key=lambda a: position(a.found.link))
    return Mending(plan=plan, setup=setup, answered=tuple(out))


def _journal() -> Stage:
    want = namespace()
    made = made_step("create", Apply(want), "the journal of this run lies there", None, changes(want, None))
    return Stage(name="journal", steps=(made,))


def _value(respec: Respec) -> Value:
    because = "write it into gpuready.yaml too: the next `gpuready up` goes by that file"
    return Value(path=respec.path, value=respec.value, origin="detected", because=because)


def _respec(propose: Propose, wanted: Respec) -> list[Stage] | ByHand:
    line = f"write {wanted.path}: {wanted.value} into gpuready.yaml, then run gpuready up"
    proposal = propose(wanted.setup)
    if proposal.refused:
        what = "; ".join(f.says for v in proposal.refused for f in v.findings) or "not everything could be decided"
        return ByHand(because=f"`up` with it is refused: {what}", do=line)
    if proposal.plan.pending:
        return ByHand(because="nodes must be looked at first", do=line)
    return list(proposal.plan.stages)


def _steps(api: Cluster, found: Found, wanted: tuple[Step, ...], setup: Setup) -> tuple[Step, ...] | ByHand:
    """Named so that no step of the way back has the same name; edits filled in with what is there, pods with what they
    are made from."""
    out = []
    for one in wanted:
        named = msgspec.structs.replace(one, id=f"{MEND}{found.rule}: {one.id}")
        if isinstance(one.action, RuntimeEntry):
            if setup.image is None:
                return ByHand(
                    because="there is no image for a pod on the node: set GPUREADY_IMAGE", do=found.finding.next
                )
            named = msgspec.structs.replace(named, action=with_pod(one.action, setup))
        if not isinstance(one.action, Edit):
            out.append(named)
            continue
        live = api.get(one.action.ref)
        if live is None:
            return ByHand(because=f"{one.target} is not there any more", do=found.finding.next)
        if keeper := _keeper(live):
            return ByHand(because=f"{keeper} would put {one.target} back", do=f"{found.finding.next}; do it there")
        edit, shown = _edit(one.action, live)
        if edit.to:
            out.append(msgspec.structs.replace(named, action=edit, changes=shown))
    return tuple(out)


def _keeper(live: Json) -> str:
    """Who would take an edit back: the object's owner, or the repository that it comes from."""
    meta = live["metadata"]
    owner = next((o for o in meta.get("ownerReferences") or () if o.get("controller")), None)
    if owner:
        return f"{owner['kind']} {owner['name']}"
    managers = [str(e.get("manager", "")) for e in meta.get("managedFields") or ()]
    keys = {**(meta.get("labels") or {}), **(meta.get("annotations") or {})}
    return next((name for name, _ in gitops_owners(keys, managers)), "")


def _edit(wanted: Edit, live: Json) -> tuple[Edit, tuple[FieldChange, ...]]:
    """With what is there now; what is as it is to be already is left out."""
    to, seen, shown = {}, {}, []
    for pointer, items in wanted.add.items():
        there = at_pointer(live, pointer) or []
        more = [item for item in items if item not in there]
        if more:
            seen[pointer], to[pointer] = at_pointer(live, pointer), [*there, *more]
            shown += [FieldChange(path=f"{_dotted(pointer)}[+]", after=item) for item in more]
    for pointer, value in wanted.to.items():
        there = at_pointer(live, pointer)
        if there != value:
            seen[pointer], to[pointer] = there, value
            shown += _shown(live, pointer, value)
    return Edit(ref=wanted.ref, to=to, uid=live["metadata"]["uid"], seen=seen), tuple(shown)


def _shown(live: Json, pointer: str, value: Any) -> Iterator[FieldChange]:
    if live.get("kind") != "CustomResourceDefinition" or pointer != "/spec/versions":
        yield FieldChange(path=_dotted(pointer), before=at_pointer(live, pointer), after=value)
        return
    wanted = {**live, "spec": {**live["spec"], "versions": value}}
    yield from tuple(schema_changes(wanted, live)) or (FieldChange(path=".spec.versions", after="the same fields"),)


def _dotted(pointer: str) -> str:
    keys = keys_of(pointer)
    return "".join(f".{k}" if k.replace("_", "").isalnum() else f"[{k}]" for k in keys)


# -- what came of it


def since(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The facts afterwards without the words that had been said before: events and logs outlive what they tell of.

    A line without a time stays: nobody can say that it was not said again.
    """
    old, new = before.get("said"), after.get("said")
    if not (isinstance(old, Said) and isinstance(new, Said)):
        return dict(after)
    known_before = frozenset(line for line in old.lines if line.at and line.source != "status")
    lines = tuple(line for line in new.lines if line not in known_before)
    return {**after, "said": msgspec.structs.replace(new, lines=lines)}


def outcomes(mended: Iterable[Found], before: Diagnosis, facts: Mapping[str, Any]) -> tuple[Outcome, ...]:
    """Whether each cause is gone. `facts`: what was read afterwards, as `since` gives it."""
    rules = {rule.id: rule for rule in catalog.rules("diagnose")}
    known_before = {(c.found.rule, c.found.finding.at) for c in before.causes}
    out = []
    for found in mended:
        verdict = judge_rule(rules[found.rule], facts)
        there = [f for f in verdict.findings if f.at == found.finding.at or (found.rule, f.at) not in known_before]
        if there:
            out.append(Outcome(found, "still there", f"{there[0].at}: {there[0].says}"))
        elif verdict.missing:
            out.append(Outcome(found, "undetermined", verdict.missing))
        else:
            out.append(Outcome(found, "mended", "it is not found any more"))
    return tuple(out)


def left(diagnosis: Diagnosis, answered: Iterable[Answered]) -> tuple[Found, ...]:
    """What is found afterwards and was no cause before: consequences that stay, and what had been hidden."""
    named = {(a.found.rule, a.found.finding.at) for a in answered}
    return tuple(c.found for c in diagnosis.causes if (c.found.rule, c.found.finding.at) not in named)


def exit_code(outcomes: Iterable[Outcome], by_hand: Iterable[Answered], after: Diagnosis) -> int:
    """2: something is still there, 3: nothing is, as far as could be read, 0: all is well."""
    states = {o.state for o in outcomes}
    if "still there" in states or any(True for _ in by_hand) or after.causes:
        return 2
    return 3 if "undetermined" in states or after.unread else 0


def unfixable(only: str, diagnosis: Diagnosis) -> UserError | None:
    """What is wrong with `--fix RULE` where the doctor finds no such cause."""
    causes = [c.found.rule for c in diagnosis.causes]
    if not only or only in causes:
        return None
    if only in {c.rule for cause in diagnosis.causes for c in cause.so}:
        root = next(c.found.rule for c in diagnosis.causes if any(s.rule == only for s in c.so))
        return UserError(f"{only} only follows from {root}", f"gpuready doctor --fix {root}")
    there = f"; found: {', '.join(dict.fromkeys(causes))}" if causes else ""
    return UserError(f"the doctor does not find {only}{there}", "gpuready doctor shows what there is")
