"""gpuready up: the main job in one command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from gpuready.cli.connection import change_options, cluster_options, open_session, stack_option

if TYPE_CHECKING:
    from gpuready.engine.proposal import Proposal
    from gpuready.model.spec import Setup


@click.command("up")
@click.option("-f", "--file", metavar="FILE", help="The spec; - for stdin.  [default: ./gpuready.yaml if it is there]")
@click.option("--image", metavar="REF", help="Image that the nodes can pull, where there is no spec yet.")
@click.option("--pull-secret", metavar="NAME", help="Secret in gpuready-system to pull it with.")
@stack_option
@click.option("--diff", is_flag=True, help="Show every field that would change.")
@cluster_options
@change_options
def command(
    file: str | None,
    image: str | None,
    pull_secret: str | None,
    stack: str | None,
    diff: bool,
    kubeconfig: str | None,
    context: str | None,
    no_color: bool,
    yes: bool,
    allow: tuple[str, ...],
    timeout: float | None,
    take_over: bool,
) -> int:
    """From bare nodes to proven GPUs: look, write the spec, plan, ask, apply, verify."""
    from gpuready.cli.asking import ask_tolerations
    from gpuready.cli.showing import Show
    from gpuready.cli.specs import agreeing, detected_setup, for_cluster, pinned, read_spec, write_spec

    spec = agreeing(read_spec(file), stack)
    opened = open_session(kubeconfig, context, "up", timeout, spec.spec.stack if spec else stack)
    session, identity = opened.session, opened.identity
    show = Show(identity, no_color=no_color, yes=yes, allow=allow, diff=diff)
    evidence: dict[str, str] = {}
    if spec:
        setup = for_cluster(spec, identity)
    else:
        cluster = session.look_around()
        setup, evidence = detected_setup(cluster, image, pull_secret, stack)
        setup = ask_tolerations(setup, cluster, yes)

    def settled(proposal: Proposal) -> Setup:
        if spec:
            return proposal.setup
        done, more = pinned(proposal)
        write_spec(done, {**evidence, **more}, identity)
        click.echo("wrote gpuready.yaml: what was detected, each value with its evidence")
        return done

    proposal = show.guarded(lambda: session.up(setup, show.approve, show.tell, settled, take_over=take_over))
    if not proposal.plan.stages:
        show.nothing_to_do(proposal)
    click.echo()
    return show.verified(session, proposal.setup)
