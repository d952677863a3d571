"""Show the plan and ask. Without a terminal and without --yes nothing is done."""

from __future__ import annotations

import sys
from collections.abc import Collection

import click
import msgspec

from gpuready.model.errors import UserError
from gpuready.model.facts.cluster import ClusterFacts, Taint
from gpuready.model.plan import Irreversible, Plan
from gpuready.model.spec import Setup, Toleration
from gpuready.model.taints import untolerated
from gpuready.model.unknown import Unknown


def require_consents(plan: Plan, allowed: Collection[str]) -> None:
    """What cannot be undone is not covered by --yes: each kind is named by --allow."""
    for step in plan.steps:
        if step.consent and step.consent not in allowed:
            why = step.undo.why if isinstance(step.undo, Irreversible) else f"it interrupts {step.interrupts}"
            raise UserError(
                f"{step.verb} {step.target} needs your consent: {why}", f"add --allow={step.consent} if that is wanted"
            )


def ask_name(name: str, yes: bool) -> None:
    """The cluster's name, typed: the last guard against the wrong context."""
    if yes:
        return
    _require_terminal()
    typed = click.prompt(f"Type the cluster's name ({name}) to go on", default="", show_default=False, err=True)
    if typed.strip() != name:
        raise UserError(f"{typed.strip()!r} is not {name!r}; nothing was changed", "")


def ask_tolerations(setup: Setup, cluster: ClusterFacts, yes: bool) -> Setup:
    """Taints that keep nodes out of the look: each is put to the user, key by key; without an answer they stay out."""
    nodes = () if isinstance(cluster.nodes, Unknown) else cluster.nodes
    found: dict[Taint, list[str]] = {}
    for node in nodes:
        if node.os == "linux" and node.ready is True and node.name not in setup.nodes.exclude:
            for taint in untolerated(node, setup):
                found.setdefault(taint, []).append(node.name)
    if yes or not found or not sys.stdin.isatty():
        return setup
    for taint, names in found.items():
        few = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        if click.confirm(f"Taint {taint} keeps our pods off {few}. Tolerate it?", default=False, err=True):
            more = Toleration(key=taint.key, operator="Equal" if taint.value else "Exists", value=taint.value)
            chosen = msgspec.structs.replace(setup.nodes, tolerations=(*setup.nodes.tolerations, more))
            setup = msgspec.structs.replace(setup, nodes=chosen)
    return setup


def ask(question: str, yes: bool) -> None:
    if yes:
        return
    _require_terminal()
    if not click.confirm(question, default=False, err=True):
        raise UserError("nothing was changed", "")


def _require_terminal() -> None:
    if not sys.stdin.isatty():
        raise UserError(
            "there is no terminal to ask on, and --yes was not given; nothing was changed",
            "read the plan above, then run again with --yes",
        )
