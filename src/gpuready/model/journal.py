"""The journal: intent before, receipt after every action; from it alone a run is resumed and undone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from gpuready.model.facts.host import HostReport
from gpuready.model.plan import Helm, Plan, Ref
from gpuready.model.spec import Setup


class Item(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One object, or fields of one, that is ours. `created` False: it was there before us and stays."""

    ref: Ref
    uid: str
    created: bool
    applied: Mapping[str, Any] = {}  # the object as we applied it last; empty for fields on other people's objects
    ours: Mapping[str, Any] = {}  # path -> value that we set, on objects that are not ours
    before: Mapping[str, Any] = {}  # path -> value before; null: was absent


class Look(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A look at a node, kept so that a later plan needs no probe. Valid while node UID and kernel are the same."""

    node_uid: str
    kernel: str
    at: str
    report: HostReport


class Inventory(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """All that is ours in the cluster, with the values before."""

    items: tuple[Item, ...] = ()
    looks: Mapping[str, Look] = {}
    setup: Setup | None = None  # what was asked for last

    def item(self, ref: Ref) -> Item | None:
        return next((i for i in self.items if i.ref == ref), None)

    @property
    def release(self) -> Helm | None:
        """The Helm release that is ours; one at most."""
        applied = next((i.applied for i in self.items if i.ref.kind == "Release"), None)
        return msgspec.convert(applied, Helm) if applied else None


class Start(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="start"):
    run: str
    purpose: str
    at: str
    holder: str
    version: str
    inventory: Inventory  # all that was ours when this run began


class Planned(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="planned"):
    at: str
    plan: Plan
    setup: Setup


class Intent(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="intent"):
    at: str
    step: str
    existed: bool = False
    uid: str = ""
    before: Mapping[str, Any] = {}


class Receipt(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="receipt"):
    at: str
    step: str
    uid: str = ""
    facts: Mapping[str, Any] = {}  # what a probe brought, by node
    note: str = ""


class Waited(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="waited"):
    at: str
    step: str
    note: str = ""


class End(msgspec.Struct, frozen=True, kw_only=True, rename="camel", tag="end"):
    at: str
    outcome: str  # done | undone | failed
    why: str = ""


Entry = Start | Planned | Intent | Receipt | Waited | End
