"""gpuready init: look at the cluster and write the spec."""

from __future__ import annotations

import pathlib

import click

from gpuready.cli.connection import change_options, cluster_options, open_session, stack_option
from gpuready.model.errors import UserError


@click.command("init")
@click.option("--out", default="gpuready.yaml", show_default=True, metavar="FILE", help="Where to write the spec.")
@click.option("--image", metavar="REF", help="Image that the nodes can pull.  [default: $GPUREADY_IMAGE]")
@click.option("--pull-secret", metavar="NAME", help="Secret in gpuready-system to pull it with.")
@stack_option
@cluster_options
@change_options
def command(
    out: str,
    image: str | None,
    pull_secret: str | None,
    stack: str | None,
    kubeconfig: str | None,
    context: str | None,
    no_color: bool,
    yes: bool,
    allow: tuple[str, ...],
    timeout: float | None,
    take_over: bool,
) -> int:
    """Detect platform, runtime, nodes and driver, by a look that is taken back, and write gpuready.yaml."""
    from gpuready.cli.asking import ask_tolerations
    from gpuready.cli.showing import Show
    from gpuready.cli.specs import detected_setup, pinned, write_spec

    if pathlib.Path(out).exists():
        raise UserError(f"{out} is there already", "move it away, or choose another name with --out")
    opened = open_session(kubeconfig, context, "init", timeout)
    session, identity = opened.session, opened.identity
    show = Show(identity, no_color=no_color, yes=yes, allow=allow)
    cluster = session.look_around()
    setup, evidence = detected_setup(cluster, image, pull_secret, stack)
    setup = ask_tolerations(setup, cluster, yes)
    proposal = show.guarded(lambda: session.survey(setup, show.approve, show.tell, take_over=take_over))
    done, more = pinned(proposal)
    write_spec(done, {**evidence, **more}, identity, out)
    click.echo(f"wrote {out}; nothing of ours is left in the cluster")
    click.echo(f"next:  gpuready plan -f {out}")
    return 0
