"""doctor --fix: diagnosis, plan, consent, run, and what the evidence says then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from gpuready.cli import asking
from gpuready.cli.connection import Opened
from gpuready.cli.showing import Show
from gpuready.cli.specs import bare_setup
from gpuready.engine.diagnose import diagnose
from gpuready.engine.ledger import Run
from gpuready.engine.mend import Mending, answers, exit_code, left, outcomes, plan_mend, since, unfixable
from gpuready.model.chart import ChartFiles
from gpuready.model.diagnosis import Diagnosis
from gpuready.model.plan import Plan
from gpuready.report.diff_text import diff_text
from gpuready.report.doctor_text import doctor_text
from gpuready.report.mend_text import by_hand_text, outcome_text

Facts = Mapping[str, Any]
SETTLES = 60.0  # seconds in which the evidence must have come to show the mend
FOLLOWS = 15.0  # and, after that, what had followed from the cause
EVERY = 3.0


def fix(
    opened: Opened, read: Callable[[], Facts], only: str, show: Show, *, chart: ChartFiles | None, take_over: bool
) -> int:
    """`only`: the rule that is meant; empty: every cause. `chart`: the one whose CRDs are to be applied."""
    inventory = opened.session.at_rest()
    before = read()
    diagnosis = diagnose(before)
    show.say(doctor_text(diagnosis, width=show.width, colour=show.colour))
    if error := unfixable(only, diagnosis):
        raise error
    if not diagnosis.causes:
        return diagnosis.exit_code
    mending = _proposed(opened, {**before, "inventory": inventory, "chart": chart}, diagnosis, only)
    if mending.by_hand:
        show.say("\n" + by_hand_text(mending.by_hand, width=show.width, colour=show.colour))
    if not mending.plan.steps:
        show.say("\nnothing here that gpuready can mend by itself; nothing was changed")
        return diagnosis.exit_code

    def approve(plan: Plan) -> None:
        click.echo()
        show.plan(plan)
        show.say("\n" + diff_text(plan, width=show.width, colour=show.colour))
        asking.require_consents(plan, show.allow)
        click.echo()
        identity = show.identity
        asking.ask_name(identity.name or identity.context or identity.uid[:8], show.yes)

    session = opened.session
    run = show.guarded(lambda: session.mend(mending.plan, mending.setup, approve, show.tell, take_over=take_over))
    return _proved(opened, before, read, diagnosis, mending, run, show)


def _proposed(opened: Opened, facts: Facts, diagnosis: Diagnosis, only: str) -> Mending:
    session, inventory = opened.session, facts["inventory"]
    return plan_mend(
        opened.client,
        answers(diagnosis, facts, only),
        inventory,
        opened.identity.uid,
        lambda setup: session.propose(setup, session.look_around(), inventory),
        None if inventory.setup and inventory.setup.image else bare_setup(opened.identity),
    )


def _proved(
    opened: Opened,
    before: Facts,
    read: Callable[[], Facts],
    diagnosis: Diagnosis,
    mending: Mending,
    run: Run,
    show: Show,
) -> int:
    """Reads until every cause is gone and nothing is left of what followed from it, or the time is up."""
    clock = opened.session.clock
    began = clock.monotonic()
    while True:
        show.passing("reading the evidence again")
        facts = since(before, read())
        after, found = diagnose(facts), outcomes(mending.mended, diagnosis, facts)
        rest = left(after, mending.answered)
        limit = SETTLES if any(o.state != "mended" for o in found) else FOLLOWS if rest else 0.0
        if clock.monotonic() - began >= limit:
            break
        clock.sleep(EVERY)
    code = exit_code(found, mending.by_hand, after)
    text = outcome_text(found, rest, exit_code=code, keeps=_keeps(run), width=show.width, colour=show.colour)
    show.passing("")
    show.say("\n" + text)
    return code


def _keeps(run: Run) -> list[str]:
    """What of the run can be taken back, and what that keeps in the cluster."""
    if run.end is None or run.end.outcome != "done" or run.touched.items == run.start.inventory.items:
        return []
    out = ["gpuready apply --undo takes the mend back, where the plan says that it can be undone"]
    if not run.start.inventory.items:
        out.append("gpuready-system keeps the journal for that; gpuready uninstall removes it and leaves the mend")
    return out
