"""gpuready verify: compute on every GPU and judge."""

from __future__ import annotations

import click

from gpuready.cli.connection import Duration, cluster_options, open_session, require_rights


@click.command("verify")
@click.option("-f", "--file", metavar="FILE", help="The spec, instead of what was installed last.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml", "junit"]), default="text", show_default=True)
@click.option("--timeout", type=Duration(), metavar="TIME", help="How long a probe may take, e.g. 2m.")
@cluster_options
def command(
    file: str | None, output: str, timeout: float | None, kubeconfig: str | None, context: str | None, no_color: bool
) -> int:
    """Run an unprivileged pod on the free GPUs of every node, compare every result, free the GPUs, and judge."""
    from gpuready.cli.showing import Show
    from gpuready.cli.specs import for_cluster, read_spec

    spec = read_spec(file) if file else None
    opened = open_session(kubeconfig, context, "verify", timeout)
    require_rights(opened.session, "verify")
    show = Show(opened.identity, no_color=no_color)
    return show.verified(opened.session, for_cluster(spec, opened.identity) if spec else None, output)
