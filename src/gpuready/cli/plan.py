"""gpuready plan: what would be done, why, and how far it can be undone."""

from __future__ import annotations

import click

from gpuready.cli.connection import cluster_options, open_session, stack_option


@click.command("plan")
@click.option("-f", "--file", metavar="FILE", help="The spec; - for stdin.  [default: ./gpuready.yaml if it is there]")
@click.option("--image", metavar="REF", help="Image that the nodes can pull, where there is no spec yet.")
@click.option("--pull-secret", metavar="NAME", help="Secret in gpuready-system to pull it with.")
@stack_option
@click.option("--diff", is_flag=True, help="Show every field that would change.")
@click.option("--out-dir", metavar="DIR", help="Write the objects as files that a person or GitOps can apply.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
@cluster_options
def command(
    file: str | None,
    image: str | None,
    pull_secret: str | None,
    stack: str | None,
    diff: bool,
    out_dir: str | None,
    output: str,
    kubeconfig: str | None,
    context: str | None,
    no_color: bool,
) -> int:
    """Show the plan; change nothing. `gpuready plan -o json > plan.json` can be carried out by `gpuready apply`."""
    from gpuready.cli.showing import Show
    from gpuready.cli.specs import agreeing, detected_setup, for_cluster, read_spec

    spec = agreeing(read_spec(file), stack)
    opened = open_session(kubeconfig, context, "plan", stack=spec.spec.stack if spec else stack)
    session, identity = opened.session, opened.identity
    cluster = session.look_around()
    setup = for_cluster(spec, identity) if spec else detected_setup(cluster, image, pull_secret, stack)[0]
    proposal = session.propose(setup, cluster, session.inventory())
    show = Show(identity, no_color=no_color, diff=diff)
    if out_dir:
        from gpuready.cli.exporting import export

        for path in export(proposal.plan, out_dir):
            click.echo(f"wrote {path}")
        return 0
    show.proposal(proposal, output)
    return 2 if proposal.refused else 0
