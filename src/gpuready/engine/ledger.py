"""The journal read back: which steps of a run are done, what stands open, and all that is ours. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from gpuready.engine import runtime_steps
from gpuready.model.journal import End, Entry, Intent, Inventory, Item, Look, Planned, Receipt, Start, Waited
from gpuready.model.plan import (
    Apply,
    Delete,
    Edit,
    Helm,
    HelmUninstall,
    Patch,
    Plan,
    Probe,
    Ref,
    Release,
    Restore,
    RuntimeEntry,
    Step,
    ref_of,
    release_ref,
)
from gpuready.model.spec import Setup

MEND = "mend "  # ids of steps that mend what is not ours begin with it


class Run(msgspec.Struct, kw_only=True):
    """One run as its journal tells it."""

    start: Start
    plan: Plan | None = None
    setup: Setup | None = None
    steps: dict[str, Step] = {}
    intents: dict[str, Intent] = {}
    receipts: dict[str, Receipt] = {}
    waited: set[str] = set()
    end: End | None = None

    @property
    def open(self) -> bool:
        return self.end is None or self.end.outcome == "failed"

    def done(self, step: Step) -> bool:
        return step.id in self.receipts and (step.wait is None or step.id in self.waited)

    @property
    def inventory(self) -> Inventory:
        """All that is ours: what was ours at the start, changed by every receipt since.

        What a mend has changed for good is not ours: it stays when we leave.
        """
        ended = self.end is not None and self.end.outcome == "done"
        return self._inventory(lambda step_id: not (ended and step_id.startswith(MEND)))

    @property
    def touched(self) -> Inventory:
        """All that is ours and what this run has mended: from here an undo goes back to `start.inventory`."""
        return self._inventory(lambda _: True)

    def _inventory(self, counts: Callable[[str], bool]) -> Inventory:
        items = {i.ref: i for i in self.start.inventory.items}
        looks = dict(self.start.inventory.looks)
        for step_id, receipt in self.receipts.items():
            if not counts(step_id):
                continue
            step, intent = self.steps[step_id], self.intents[step_id]
            _account(step, intent, receipt, items)
            looks.update(_looks(step, receipt))
        for step_id, intent in self.intents.items():  # it may have been done before its receipt was written
            step = self.steps[step_id]
            if counts(step_id) and step_id not in self.receipts and isinstance(step.action, RuntimeEntry | Edit):
                _account(step, intent, Receipt(at=intent.at, step=step_id, uid=intent.uid), items)
        return Inventory(items=tuple(items.values()), looks=looks, setup=self._asked_last)

    @property
    def _asked_last(self) -> Setup | None:
        before = self.start.inventory.setup
        asks = self.start.purpose == "up" or (self.start.purpose == "mend" and before is not None)
        return self.setup if asks and self.setup else before


def replay(entries: Iterable[Entry]) -> Run | None:
    """The run that these entries tell of; None when there are none."""
    run: Run | None = None
    for entry in entries:
        match entry:
            case Start():
                run = Run(start=entry)
            case _ if run is None:
                continue
            case Planned():
                # a run that had ended and is taken back is open again
                run.plan, run.setup, run.end = entry.plan, entry.setup, None
                run.steps.update({s.id: s for s in entry.plan.steps})
            case Intent():
                run.intents[entry.step] = entry
            case Receipt():
                run.receipts[entry.step] = entry
            case Waited():
                run.waited.add(entry.step)
            case End():
                run.end = entry
    return run


def _account(step: Step, intent: Intent, receipt: Receipt, items: dict[Ref, Item]) -> None:
    match step.action:
        case Apply(object=obj):
            ref = ref_of(obj)
            known = items.get(ref)
            created = known.created if known else not intent.existed
            items[ref] = Item(ref=ref, uid=receipt.uid, created=created, applied=obj)
        case Patch(object=obj):
            ref = ref_of(obj)
            known = items.get(ref)
            before = {**intent.before, **(known.before if known else {})}
            ours = {**(known.ours if known else {}), **fields_of(obj)}
            items[ref] = Item(ref=ref, uid=receipt.uid, created=False, ours=ours, before=before)
        case Edit(ref=ref, to=to):
            known = items.get(ref) or Item(ref=ref, uid=receipt.uid, created=False)
            ours = {**known.ours, **to, **receipt.facts}
            items[ref] = msgspec.structs.replace(known, ours=ours, before={**intent.before, **known.before})
        case Helm(ref=ref):
            was = items[ref].before if ref in items else intent.before
            applied = msgspec.to_builtins(step.action)
            items[ref] = Item(ref=ref, uid=receipt.uid, created=True, applied=applied, before=was)
        case HelmUninstall(release=name, namespace=namespace):
            items.pop(release_ref(name, namespace), None)
        case Delete(ref=ref):
            items.pop(ref, None)
        case Restore(ref=ref, ours=fields):
            _restored(ref, fields, items)
        case RuntimeEntry():
            items.pop(runtime_steps.ref_of(step.action), None)
            if item := runtime_steps.item_of(step.action, receipt.facts):
                items[item.ref] = item
        case Release() | Probe():
            pass


def _restored(ref: Ref, fields: Mapping[str, Any], items: dict[Ref, Item]) -> None:
    """Fields that are as they were are ours no more; an object of which nothing else is ours neither."""
    known = items.get(ref)
    if known is None:
        return
    ours = {p: v for p, v in known.ours.items() if p not in fields}
    if ours or known.applied:
        items[ref] = msgspec.structs.replace(known, ours=ours)
    else:
        del items[ref]


def _looks(step: Step, receipt: Receipt) -> Mapping[str, Look]:
    if not isinstance(step.action, Probe) or step.action.kind != "look":
        return {}
    return {node: msgspec.convert(fact, Look) for node, fact in receipt.facts.items()}


def fields_of(obj: Mapping[str, Any]) -> dict[str, Any]:
    """JSON pointer -> value of every leaf of a partial object, its identity left out."""
    out: dict[str, Any] = {}
    _pointers({k: v for k, v in obj.items() if k not in ("apiVersion", "kind")}, "", out)
    return {p: v for p, v in out.items() if p not in ("/metadata/name", "/metadata/namespace")}


def _pointers(value: Any, path: str, out: dict[str, Any]) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _pointers(item, f"{path}/{key.replace('~', '~0').replace('/', '~1')}", out)
    else:
        out[path] = value


def at_pointer(obj: Any, pointer: str) -> Any:
    """Value at a JSON pointer (RFC 6901, objects only); None where any part is absent."""
    for key in keys_of(pointer):
        if not isinstance(obj, Mapping):
            return None
        obj = obj.get(key)
    return obj


def keys_of(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def merge_patch(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON merge patch (RFC 7386) that sets each pointer to its value; None removes it."""
    patch: dict[str, Any] = {}
    for pointer, value in values.items():
        *parents, last = keys_of(pointer)
        inner = patch
        for key in parents:
            inner = inner.setdefault(key, {})
        inner[last] = value
    return patch
