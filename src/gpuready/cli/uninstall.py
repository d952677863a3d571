"""gpuready uninstall: everything of ours out again, and the proof."""

from __future__ import annotations

import click

from gpuready.cli.connection import change_options, cluster_options, open_session, require_rights


@click.command("uninstall")
@click.option("--leave", multiple=True, metavar="NODE", help="Do not wait for this node: it does not answer.")
@cluster_options
@change_options
def command(
    leave: tuple[str, ...],
    kubeconfig: str | None,
    context: str | None,
    no_color: bool,
    yes: bool,
    allow: tuple[str, ...],
    timeout: float | None,
    take_over: bool,
) -> int:
    """Take out every object, field, label, condition and file of ours; refuse while pods hold GPUs."""
    from gpuready.cli.showing import Show

    opened = open_session(kubeconfig, context, "uninstall", timeout)
    require_rights(opened.session, "uninstall")
    show = Show(opened.identity, no_color=no_color, yes=yes, allow=allow)
    return show.uninstalled(opened.session, leave, take_over)
