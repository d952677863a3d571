"""Execute a plan: intent, act, receipt, wait; the same way whether the run is new or resumed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

import msgspec

from gpuready.engine import releases
from gpuready.engine.design import gpus_of
from gpuready.engine.diff import changes
from gpuready.engine.leave import NS
from gpuready.engine.ledger import Run, at_pointer, fields_of, merge_patch, replay
from gpuready.engine.probing import FailedOn, ProbeFailed, run_probes
from gpuready.engine.verdicts import gpu_verdicts
from gpuready.engine.waits import WAITS
from gpuready.model.digest import digest
from gpuready.model.errors import Conflict, UserError
from gpuready.model.facts.compute import ComputeReport
from gpuready.model.facts.host import HostReport
from gpuready.model.facts.runtime import Entered
from gpuready.model.journal import Intent, Look, Receipt, Waited
from gpuready.model.names import MANAGED_BY, MANAGER
from gpuready.model.plan import (
    Action,
    Apply,
    Delete,
    DryRun,
    Edit,
    Helm,
    HelmUninstall,
    Manual,
    Patch,
    Plan,
    Probe,
    Ref,
    Release,
    Restore,
    RuntimeEntry,
    Step,
    ref_of,
)
from gpuready.model.ports import Charts, Clock, Cluster, Journal

Json = dict[str, Any]
PROBE_SECONDS = {"look": 150.0, "compute": 180.0, "clean": 120.0, "runtime": 240.0}
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
    kind: str  # start | done | wait | note | fail
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
        charts: Charts | None = None,
    ) -> None:
        """`limit`: seconds to wait for any one step, instead of the step's own. `charts`: for steps of Helm alone."""
        self.cluster, self.journal, self.clock, self.tell, self.limit = cluster, journal, clock, tell, limit
        self.charts = charts

    def run(self, plan: Plan) -> None:
        """Every step that the journal does not show as done, in order. Raises StepFailed at the first that fails.

        Where one fails on some of its nodes only, the stage is finished for the others before that is raised.
        """
        run, before = self._replay(), 0
        for stage in plan.stages:
            failed: list[StepFailed] = []
            lost: frozenset[str] = frozenset()
            for number, step in enumerate(stage.steps, before + 1):
                part = None if run.done(step) else without(step, lost)
                if part is None:
                    continue
                try:
                    self._perform(part, number, len(plan.steps), run, whole=part is step)
                except StepFailed:
                    raise
                except UserError as error:
                    failed.append(StepFailed(step, error))
                    if not isinstance(error, FailedOn):
                        raise failed[-1] from error
                    lost |= error.nodes
                    self.tell(Event("fail", step, number, len(plan.steps), error.what))
            if failed:
                raise apart(failed)
            before += len(stage.steps)

    def _replay(self) -> Run:
        run = replay(self.journal.entries())
        assert run is not None, "a journal begins with its start"
        return run

    def _perform(self, step: Step, number: int, total: int, run: Run, whole: bool = True) -> None:
        """Not `whole`: without some of its nodes; then the journal does not have it as done."""
        self.tell(Event("start", step, number, total))
        began = self.clock.monotonic()
        note = ""
        if step.id not in run.receipts:
            intent = run.intents.get(step.id) or self._intend(step)
            receipt = self._act(step, intent)
            if whole:
                self.journal.append(receipt)
            note = receipt.note
        if step.wait:
            waited = self._wait(step)
            self.journal.append(Waited(at=self.clock.now(), step=step.id, note=waited or note))
            note = "; ".join(filter(None, (note, waited)))
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
            case Edit(ref=ref, to=to):
                live = self.cluster.get(ref)
                self._check_edit(step.action, live)
                return True, _uid(live), {p: at_pointer(live, p) for p in to}
            case Helm():
                return True, "", releases.marks(self.cluster)
        return True, "", {}

    def _check_edit(self, edit: Edit, live: Json | None) -> None:
        if live is None or _uid(live) != edit.uid:
            raise UserError(f"{edit.ref} has vanished since the plan was made", "gpuready doctor looks again")
        others = [p for p, v in edit.to.items() if at_pointer(live, p) not in (v, edit.seen.get(p))]
        if others:
            raise UserError(f"{', '.join(others)} of {edit.ref} was changed since the plan was made", "plan again")

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
            case Edit():
                return self._retried(lambda: self._edit(action))
            case Restore():
                return self._retried(lambda: self._restore(action))
            case Release():
                return self._release(action)
            case Probe():
                return self._probe(action)
            case RuntimeEntry():
                return self._configure(action)
            case DryRun():
                self.cluster.create(action.object, dry_run=True)
                return Done(note="would be admitted")
            case Helm():
                revision, note = releases.install(self.cluster, self.charts, self.clock, action, self.journal.hold)
                return Done(uid=str(revision), note=note)
            case HelmUninstall(release=name, namespace=namespace):
                return Done(note=releases.uninstall(self.cluster, self.charts, name, namespace))
            case Manual():
                raise UserError(action.text, "do it, then run again")

    def _apply(self, action: Apply | Patch, intent: Intent) -> Done:
        meta = dict(action.object["metadata"])
        if intent.uid:
            meta["uid"] = intent.uid  # only this very object
        force = isinstance(action, Apply) and action.force
        return Done(uid=_uid(self.cluster.apply({**action.object, "metadata": meta}, manager=MANAGER, force=force)))

    def _delete(self, action: Delete) -> Done:
        if action.ref == NS:
            self.journal.leave_cluster()
        if _uid(self.cluster.get(action.ref)) != action.uid:
            return Done(note="was gone already")
        self.cluster.delete(action.ref, uid=action.uid, grace=0 if action.forced else None)
        if _uid(self.cluster.get(action.ref)) != action.uid:
            return Done()
        self.cluster.wait_for(
            action.ref, lambda o: o is None or _uid(o) != action.uid, timeout=120, each=self.journal.hold
        )
        return Done()

    def _retried(self, work: Callable[[], Done]) -> Done:
        """A kubelet writes its Node every few seconds: written between our look and our change, it is judged anew."""
        for _ in range(RESTORE_TRIES - 1):
            with suppress(Conflict):
                return work()
        return work()

    def _edit(self, action: Edit) -> Done:
        """`facts`: the fields that the API server keeps in another form than we gave them."""
        live = self.cluster.get(action.ref)
        self._check_edit(action, live)
        assert live is not None
        self._patch(action.ref, live, action.to)
        kept = self.cluster.get(action.ref)
        facts = {p: at_pointer(kept, p) for p, v in action.to.items() if at_pointer(kept, p) != v}
        return Done(uid=action.uid, facts=facts)

    def _patch(self, ref: Ref, live: Json, values: Mapping[str, Any]) -> None:
        """Exactly this object in exactly this state."""
        patch = merge_patch(values)
        meta = patch.setdefault("metadata", {})
        meta.update(uid=_uid(live), resourceVersion=live["metadata"]["resourceVersion"])
        self.cluster.patch(ref, patch)

    def _restore(self, action: Restore) -> Done:
        live = self.cluster.get(action.ref)
        if live is None or _uid(live) != action.uid:
            return Done(note="the object is gone; nothing to restore")
        mine = [p for p, v in action.ours.items() if at_pointer(live, p) == v]
        foreign = sorted(p for p in action.ours if p not in mine and at_pointer(live, p) != action.before.get(p))
        if mine:
            self._patch(action.ref, live, {p: action.before.get(p) for p in mine})
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
        failed = {n: a for n, a in answers.items() if isinstance(a, ProbeFailed)}
        if failed:
            raise FailedOn(failed) if action.kind == "clean" else next(iter(failed.values()))
        texts = {n: str(a) for n, a in answers.items()}
        if action.kind == "look":
            return self._looked(texts)
        return _computed(texts, action.nonce) if action.kind == "compute" else _cleaned(texts)

    def _configure(self, action: RuntimeEntry) -> Done:
        if not action.binaries and self.cluster.get(Ref(api_version="v1", kind="Node", name=action.node)) is None:
            return Done(note="the node is gone; nothing to take out")
        seconds = self.limit or PROBE_SECONDS["runtime"]
        answer = run_probes(self.cluster, {action.node: action.pod}, seconds, self.journal.hold)[action.node]
        if isinstance(answer, ProbeFailed):
            raise answer
        done = decode(answer, Entered, action.node)
        return Done(facts=msgspec.to_builtins(done), note=str(done))

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


def without(step: Step, nodes: frozenset[str]) -> Step | None:
    """What is left of the step where these nodes are passed over; None: nothing."""
    match step.action:
        case Probe(pods=pods) if not nodes.isdisjoint(pods):
            left = {n: pod for n, pod in pods.items() if n not in nodes}
            action = msgspec.structs.replace(step.action, pods=left)
            target = f"{len(left)} of {len(pods)} nodes"
            return msgspec.structs.replace(step, action=action, target=target) if left else None
        case Release(ref=ref) | Restore(ref=ref) if ref.kind == "Node" and ref.name in nodes:
            return None
    return step


def apart(failed: list[StepFailed]) -> StepFailed:
    """The first of what failed on some nodes, telling of all."""
    first, *others = failed
    what = "; ".join([first.cause.what, *(str(error.what) for error in others)])
    return StepFailed(first.step, UserError(f"{what}; the other nodes are finished", first.cause.next))


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
    stand_in = next((f" ({v.stand_in} GPU)" for v in verdicts if v.stand_in), "")
    return Done(
        facts=msgspec.to_builtins(reports), note=f"{len(verdicts)} of {len(verdicts)} GPUs computed right{stand_in}"
    )


def _cleaned(texts: Mapping[str, str]) -> Done:
    facts = {n: decode(t, dict[str, Any], n) for n, t in texts.items()}
    count = sum(len(f.get("removed") or []) for f in facts.values())
    removed = f"removed {count} file{'' if count == 1 else 's'}"
    left = [f"node/{n}: {', '.join(map(str, f['left']))}" for n, f in facts.items() if f.get("left")]
    return Done(facts=facts, note=f"{removed}; left on {'; '.join(left)}" if left else removed)


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
