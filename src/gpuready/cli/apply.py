"""gpuready apply: carry a plan out, go on with one, or take one back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gpuready.cli.connection import change_options, cluster_options, open_session
from gpuready.model.errors import UserError

if TYPE_CHECKING:
    from gpuready.cli.showing import Show
    from gpuready.engine.session import Session
    from gpuready.model.spec import Setup


@click.command("apply")
@click.argument("plan_file", required=False, metavar="[PLAN.json]")
@click.option("-f", "--file", metavar="FILE", help="The spec; - for stdin.  [default: ./gpuready.yaml]")
@click.option("--resume", is_flag=True, help="Go on with the unfinished run.")
@click.option("--undo", is_flag=True, help="Take back what the last run did.")
@click.option(
    "--leave", multiple=True, metavar="NODE", help="With --undo, or --resume of an uninstall: do not wait for it."
)
@click.option("--dry-run", type=click.Choice(["server"]), help="Ask the API server about every object; change nothing.")
@click.option("--diff", is_flag=True, help="Show every field that would change.")
@cluster_options
@change_options
def command(
    plan_file: str | None,
    file: str | None,
    resume: bool,
    undo: bool,
    leave: tuple[str, ...],
    dry_run: str | None,
    diff: bool,
    kubeconfig: str | None,
    context: str | None,
    no_color: bool,
    yes: bool,
    allow: tuple[str, ...],
    timeout: float | None,
    take_over: bool,
) -> int:
    """Carry out the plan of the spec, or exactly the plan in PLAN.json (from `gpuready plan -o json`)."""
    from gpuready.cli.showing import Show

    if sum(map(bool, (resume, undo, dry_run, plan_file))) > 1:
        raise click.UsageError("one of PLAN.json, --resume, --undo and --dry-run")
    if leave and not (resume or undo):
        raise click.UsageError("--leave goes with --resume or --undo")
    opened = open_session(kubeconfig, context, "apply", timeout)
    session = opened.session
    show = Show(opened.identity, no_color=no_color, yes=yes, allow=allow, diff=diff)
    if undo:
        back = show.guarded(lambda: session.undo(show.approve_back, show.tell, take_over=take_over, silent=leave))
        if back.steps:
            click.echo("taken back: the cluster is as it was before that run, as far as its plan could be undone")
        return show.undetermined(leave)
    if resume and leave:
        return show.left(show.guarded(lambda: session.leave(leave, show.approve_back, show.tell, take_over)), leave)
    if resume:
        return _resume(session, show, take_over)
    setup = _setup(plan_file, file, show)
    if dry_run:
        return show.dry_run(session, setup)
    proposal = show.guarded(lambda: session.up(setup, show.approve, show.tell, take_over=take_over))
    if not proposal.plan.stages:
        show.nothing_to_do(proposal)
    return 0


def _setup(plan_file: str | None, file: str | None, show: Show) -> Setup:
    from gpuready.cli.specs import for_cluster, read_spec

    if plan_file:
        from gpuready.cli.savedplan import read_plan

        setup, show.approved = read_plan(plan_file, show.identity)
        return setup
    spec = read_spec(file)
    if spec is None:
        raise UserError("there is no gpuready.yaml here", "gpuready init writes one, or name another with -f")
    return for_cluster(spec, show.identity)


def _resume(session: Session, show: Show, take_over: bool) -> int:
    run = show.guarded(lambda: session.resume(show.approve, show.tell, take_over=take_over))
    click.echo(f"run {run.start.run} ({run.start.purpose}) is finished")
    if run.start.purpose == "up":
        click.echo("next:  gpuready verify")
    if run.start.purpose == "mend":
        click.echo("next:  gpuready doctor")
    return 0
