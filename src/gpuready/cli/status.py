"""gpuready status: which GPUs there are, their health, who holds them."""

from __future__ import annotations

import time

import click

from gpuready.cli.connection import cluster_options, open_session


@click.command("status")
@click.option("-w", "--watch", is_flag=True, help="Print again whenever something changed, until interrupted.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
@cluster_options
def command(watch: bool, output: str, kubeconfig: str | None, context: str | None, no_color: bool) -> int:
    """Read only: GPUs per node, health with its reason, the pods that hold them, an unfinished run."""
    from gpuready.cli.showing import Show

    opened = open_session(kubeconfig, context, "status")
    show = Show(opened.identity, no_color=no_color)
    last = ""
    while True:
        text, code = show.status(opened.session, output)
        if text != last:
            click.echo(text)
        if not watch:
            return code
        last = text
        time.sleep(2)
