"""Steps that change a node's container runtime, and what of that is ours."""

from __future__ import annotations

from typing import Any

import msgspec

from gpuready.components.native_agent.probes import runtime_pod
from gpuready.model.journal import Item
from gpuready.model.names import RESTART_RUNTIME
from gpuready.model.plan import Ref, RuntimeEntry, Step
from gpuready.model.spec import Setup

KIND = "RuntimeEntry"  # in the inventory only: lines in files of a node, which name themselves there


def ref_of(action: RuntimeEntry) -> Ref:
    return Ref(api_version="gpuready.dev/node", kind=KIND, name=f"{action.node}.{action.handler}")


def item_of(action: RuntimeEntry, facts: Any) -> Item | None:
    """What a node's files hold of ours after this step; None after one that takes it out."""
    if not action.binaries:
        return None
    applied = {"node": action.node, "runtime": action.runtime, "handler": action.handler, "done": facts}
    return Item(ref=ref_of(action), uid=action.node, created=True, applied=applied)


def with_pod(action: RuntimeEntry, setup: Setup) -> RuntimeEntry:
    return msgspec.structs.replace(action, pod=runtime_pod(setup, action))


def take_out(item: Item, setup: Setup) -> Step:
    was = item.applied
    action = RuntimeEntry(node=was["node"], runtime=was["runtime"], handler=was["handler"])
    return Step(
        id=f"take out {KIND}/{item.ref.name}",
        verb="configure",
        target=f"node/{action.node}",
        action=with_pod(action, setup),
        why=f"handler {action.handler} as it was before: gone",
        interrupts=action.interrupts,
        consent=RESTART_RUNTIME,
    )
