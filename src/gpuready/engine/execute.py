"""Execute a plan: intent, act, receipt, wait; the same way whether the run is new or resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from gpuready.engine.design import gpus_of
from gpuready.engine.diff import changes
from gpuready.engine.leave import NS
from gpuready.engine.ledger import Run, at_pointer, fields_of, merge_patch, replay
from gpuready.engine.probing import ProbeFailed, run_probes
from gpuready.engine.verdicts import gpu_verdicts
from gpuready.engine.waits import WAITS
from gpuready.model.digest import digest
from gpuready.model.errors import Conflict, UserError
from gpuready.model.facts.compute import ComputeReport
from gpuready.model.facts.host import HostReport
from gpuready.model.journal import Intent, Look, Receipt, Waited
from gpuready.model.names import MANAGED_BY, MANAGER
from gpuready.model.plan import (
    Action,
    Apply,
    Delete,
    DryRun,
    Manual,
    Patch,
    Plan,
    Probe,
    Ref,
    Release,
    Restore,
    Step,
    ref_of,
)
from gpuready.model.ports import Clock, Cluster, Journal

Json = dict[str, Any]
PROBE_SECONDS = {"look": 150.0, "compute": 180.0, "clean": 120.0}
RESTORE_TRIES = 10


class StepFailed(UserError):
    """A step could not be done, or what it waits for did not come. The journal keeps the run open."""

    def __init__(self, step: Step, error: UserError) -> None:
        super().__init__(f"{step.verb} {step.target}: {error.what}", error.next)
        self.step = step
        self.cause = error


class Done(NamedTuple):
    """What an action brought: the object's UID, facts of probes, a note for the user."""

    uid: str = ""
    facts: Mapping[str, Any] = {}
    note: str = ""


class Event(msgspec.Struct, frozen=True):
    kind: str  # start | done | wait | note
    step: Step
    number: int  # of the step in its plan, from 1
    total: int
    text: str = ""
    seconds: float | None = None


class Executor:
    """Executes the steps of one run in order. `tell` is called with what happens, for the live view."""

    def __init__(
        self,
        cluster: Cluster,
        journal: Journal,
        clock: Clock,
        tell: Callable[[Event], None],
        limit: float | None = None,
    ) -> None:
        """`limit`: seconds to wait for any one step, instead of the step's own."""
        self.cluster, self.journal, self.clock, self.tell, self.limit = cluster, journal, clock, tell, limit

    def run(self, plan: Plan) -> None:
        """Every step that the journal does not show as done, in order. Raises StepFailed at the first that fails."""
        run = self._replay()
        for number, step in enumerate(plan.steps, 1):
            if run.done(step):
                continue
            try:
                self._perform(step, number, len(plan.steps), run)
            except StepFailed:
                raise
            except UserError as error:
                raise StepFailed(step, error) from error

    def _replay(self) -> Run:
        run = replay(self.journal.entries())
        assert run is not None, "a journal begins with its start"
        return run

    def _perform(self, step: Step, number: int, total: int, run: Run) -> None:
        self.tell(Event("start", step, number, total))
        began = self.clock.monotonic()
        note = ""
        if step.id not in run.receipts:
            intent = run.intents.get(step.id) or self._intend(step)
            receipt = self._act(step, intent)
            self.journal.append(receipt)
            note = receipt.note
        if step.wait:
            note = self._wait(step) or note
            self.journal.append(Waited(at=self.clock.now(), step=step.id, note=note))
        self.tell(Event("done", step, number, total, note, self.clock.monotonic() - began))

    def _wait(self, step: Step) -> str:
        assert step.wait is not None
        wait = msgspec.structs.replace(step.wait, seconds=int(self.limit or step.wait.seconds))
        try:
            return WAITS[wait.until](self.cluster, wait, self.journal.hold)
        except TimeoutError as late:
            raise UserError(f"{late} within {wait.seconds} s", "gpuready apply --resume waits again") from None

    def _intend(self, step: Step) -> Intent:
        existed, uid, before = self._observe(step)
        intent = Intent(at=self.clock.now(), step=step.id, existed=existed, uid=uid, before=before)
        self.journal.append(intent)
        return intent

    def _observe(self, step: Step) -> tuple[bool, str, Mapping[str, Any]]:
        """What is there now, checked against what the plan was made for."""
        match step.action:
            case Apply(object=obj) | Patch(object=obj):
                live = self.cluster.get(ref_of(obj))
                self._check(step, live)
                before = {p: at_pointer(live, p) for p in fields_of(obj)} if isinstance(step.action, Patch) else {}
                return live is not None, _uid(live), before
        return True, "", {}

    def _check(self, step: Step, live: Json | None) -> None:
        obj = step.action.object  # type: ignore[union-attr]
        if live is None and (step.expects is not None or isinstance(step.action, Patch)):
            raise UserError(f"{step.target} has vanished since the plan was made", "plan again")
        if live is None or step.id.startswith("reapply"):
            return
        if step.expects is None and step.verb == "create":
            labels = live["metadata"].get("labels") or {}
            if not MANAGED_BY.items() <= labels.items():
                raise UserError(f"{step.target} exists and is not ours", "rename or remove it, then plan again")
            return
        planned = [c.path for c in step.changes]
        now = {c.path: c.before for c in changes(obj, live)}
        if step.expects is not None and digest([now.get(p) for p in planned]) != step.expects and now:
            raise UserError(f"{step.target} was changed since the plan was made", "plan again")

    def _act(self, step: Step, intent: Intent) -> Receipt:
        self.journal.hold()
        done = self._do(step.action, intent)
        return Receipt(at=self.clock.now(), step=step.id, uid=done.uid, facts=done.facts, note=done.note)

    def _do(self, action: Action, intent: Intent) -> Done:
        match action:
            case Apply() | Patch():
                return self._apply(action, intent)
            case Delete():
                return self._delete(action)
            case Restore():
                return self._restore(action)
            case Release():
                return self._release(action)
            case Probe():
                return self._probe(action)
            case DryRun():
                self.cluster.create(action.object, dry_run=True)
                return Done(note="would be admitted")
            case Manual():
                raise UserError(action.text, "do it, then run again")

    def _apply(self, action: Apply | Patch, intent: Intent) -> Done:
        meta = dict(action.object["metadata"])
        if intent.uid:
            meta["uid"] = intent.uid  # only this very object
        return Done(uid=_uid(self.cluster.apply({**action.object, "metadata": meta}, manager=MANAGER)))

    def _delete(self, action: Delete) -> Done:
        if action.ref == NS:
            self.journal.leave_cluster()
        if _uid(self.cluster.get(action.ref)) != action.uid:
            return Done(note="was gone already")
        self.cluster.delete(action.ref, uid=action.uid)
        if _uid(self.cluster.get(action.ref)) != action.uid:
            return Done()
        self.cluster.wait_for(
            action.ref, lambda o: o is None or _uid(o) != action.uid, timeout=120, each=self.journal.hold
        )
        return Done()

    def _restore(self, action: Restore) -> Done:
        """A kubelet writes its Node every few seconds: written between our look and our change, it is judged anew."""
        for _ in range(RESTORE_TRIES - 1):
            with suppress(Conflict):
                return self._restore_as_it_is(action)
        return self._restore_as_it_is(action)

    def _restore_as_it_is(self, action: Restore) -> Done:
        live = self.cluster.get(action.ref)
        if live is None or _uid(live) != action.uid:
            return Done(note="the object is gone; nothing to restore")
        mine = [p for p, v in action.ours.items() if at_pointer(live, p) == v]
        foreign = sorted(p for p in action.ours if p not in mine and at_pointer(live, p) != action.before.get(p))
        if mine:
            patch = merge_patch({p: action.before.get(p) for p in mine})
            meta = patch.setdefault("metadata", {})
            meta.update(uid=action.uid, resourceVersion=live["metadata"]["resourceVersion"])
            self.cluster.patch(action.ref, patch)
        return Done(note=f"left as somebody changed it since: {', '.join(foreign)}" if foreign else "")

    def _release(self, action: Release) -> Done:
        live = self.cluster.get(action.ref)
        if live is None:
            return Done(note="the object is gone")
        owners = {(e.get("manager"), e.get("subresource", "")) for e in live["metadata"].get("managedFields") or ()}
        bare = {
            "apiVersion": action.ref.api_version,
            "kind": action.ref.kind,
            "metadata": {"name": action.ref.name, "uid": _uid(live)},
        }
        for subresource in ("", *action.subresources):
            if (action.manager, subresource) in owners:
                self.journal.hold()
                self.cluster.apply(bare, manager=action.manager, subresource=subresource)
        return Done()

    def _probe(self, action: Probe) -> Done:
        seconds = self.limit or PROBE_SECONDS[action.kind]
        answers = run_probes(self.cluster, action.pods, seconds, self.journal.hold)
        failed = next((a for a in answers.values() if isinstance(a, ProbeFailed)), None)
        if failed:
            raise failed
        texts = {n: str(a) for n, a in answers.items()}
        if action.kind == "look":
            return self._looked(texts)
        return _computed(texts, action.nonce) if action.kind == "compute" else _cleaned(texts)

    def _looked(self, texts: Mapping[str, str]) -> Done:
        facts, found = {}, 0
        for node, text in texts.items():
            live = self.cluster.get(Ref(api_version="v1", kind="Node", name=node)) or {}
            kernel = live.get("status", {}).get("nodeInfo", {}).get("kernelVersion", "")
            report = decode(text, HostReport, node)
            found += 1 if gpus_of(report) else 0
            look = Look(node_uid=_uid(live), kernel=kernel, at=self.clock.now(), report=report)
            facts[node] = msgspec.to_builtins(look)
        return Done(facts=facts, note=f"{found} of {len(facts)} have a GPU")


def _computed(texts: Mapping[str, str], nonce: str) -> Done:
    reports = {n: decode(t, ComputeReport, n) for n, t in texts.items()}
    verdicts = gpu_verdicts(tuple(reports), reports, {}, nonce)
    bad = [v for v in verdicts if v.computed != "pass"]
    if bad or not verdicts or any(r.nonce != nonce for r in reports.values()):
        what = "; ".join(f"{v.node} {v.uuid}: {v.note}" for v in bad) or "the probe reported no GPU of this run"
        raise UserError(
            f"the GPUs do not compute: {what}",
            "gpuready status shows the health that the agent sees; --undo takes this run back",
        )
    replayed = " (replayed GPU)" if any(v.replayed for v in verdicts) else ""
    return Done(
        facts=msgspec.to_builtins(reports), note=f"{len(verdicts)} of {len(verdicts)} GPUs computed right{replayed}"
    )


def _cleaned(texts: Mapping[str, str]) -> Done:
    facts = {n: decode(t, dict[str, Any], n) for n, t in texts.items()}
    return Done(facts=facts, note="; ".join(_cleaning(f) for f in facts.values()))


def _cleaning(fact: Mapping[str, Any]) -> str:
    left = fact.get("left") or []
    count = len(fact.get("removed") or [])
    removed = f"removed {count} file{'' if count == 1 else 's'}"
    return f"{removed}; left: {', '.join(map(str, left))}" if left else removed


def decode(text: str, type_: Any, node: str) -> Any:
    """The one line of JSON that a probe printed; hostile or damaged output is a UserError, never a traceback."""
    lines = [line for line in text.splitlines() if line.startswith("{")]
    try:
        return msgspec.json.decode(lines[-1] if lines else "", type=type_)
    except (msgspec.MsgspecError, UnicodeError, IndexError) as error:
        raise UserError(
            f"the probe on node/{node} printed no report that this version reads ({error})",
            "is spec.image the image of this very version? gpuready image push makes it",
        ) from None


def _uid(obj: Mapping[str, Any] | None) -> str:
    return str((obj or {}).get("metadata", {}).get("uid", ""))
