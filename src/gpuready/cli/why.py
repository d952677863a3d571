"""gpuready why: the doctor's evidence and rules, narrowed to the chain below one pod or node."""

from __future__ import annotations

from typing import Any

import click

from gpuready.cli.connection import cluster_options, colour, open_session, terminal_width


@click.command("why")
@click.argument("target", metavar="[pod/]NAME | node/NAME")
@click.option("-n", "--namespace", metavar="NAME", help="Of the pod; needed where several have one of that name.")
@click.option("--from", "bundle", metavar="BUNDLE", help="Read what gpuready collect kept, not a cluster.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
@cluster_options
def command(
    target: str,
    namespace: str | None,
    bundle: str | None,
    output: str,
    kubeconfig: str | None,
    context: str | None,
    no_color: bool,
) -> int:
    """Say of each link between node and computing pod whether it holds and on what that rests. Creates nothing."""
    from gpuready.engine.why import node_target, pod_target, read, why
    from gpuready.report.json_out import to_json, to_yaml
    from gpuready.report.why_text import why_text

    kind, _, name = target.rpartition("/")
    if kind not in ("", "pod", "pods", "po", "node", "nodes", "no"):
        raise click.UsageError(f"{target!r} is neither pod/NAME nor node/NAME")
    if kind.startswith("no") and namespace:
        raise click.UsageError("a node is in no namespace")
    facts = _facts(bundle, kubeconfig, context)
    cluster = read(facts)
    found = why(facts, node_target(cluster, name) if kind.startswith("no") else pod_target(cluster, name, namespace))
    if output == "text":
        click.echo(why_text(found, width=terminal_width(), colour=colour(no_color)))
    else:
        click.echo((to_json if output == "json" else to_yaml)(found), nl=False)
    return found.exit_code


def _facts(bundle: str | None, kubeconfig: str | None, context: str | None) -> dict[str, Any]:
    if bundle:
        from gpuready.cli.doctor import replayed

        return replayed(bundle)
    from gpuready.engine.evidence import read_evidence

    opened = open_session(kubeconfig, context, "why")
    return read_evidence(opened.client, opened.identity, now=opened.session.clock.now)
