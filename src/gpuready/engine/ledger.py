"""The journal read back: which steps of a run are done, what stands open, and all that is ours. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gpuready.model.journal import End, Entry, Intent, Inventory, Item, Look, Planned, Receipt, Start, Waited
from gpuready.model.plan import Apply, Delete, Patch, Plan, Probe, Ref, Release, Restore, Step, ref_of
from gpuready.model.spec import Setup


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
        """All that is ours: what was ours at the start, changed by every receipt since."""
        items = {i.ref: i for i in self.start.inventory.items}
        looks = dict(self.start.inventory.looks)
        for step_id, receipt in self.receipts.items():
            step, intent = self.steps[step_id], self.intents[step_id]
            _account(step, intent, receipt, items)
            looks.update(_looks(step, receipt))
        setup = self.setup if self.start.purpose == "up" and self.setup else self.start.inventory.setup
        return Inventory(items=tuple(items.values()), looks=looks, setup=setup)


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
                run.plan, run.setup = entry.plan, entry.setup
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
        case Delete(ref=ref) | Restore(ref=ref):
            items.pop(ref, None)
        case Release() | Probe():
            pass


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
