"""gpuready explain: what a rule looks at, what it means, what to do; without any cluster."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem

from gpuready.cli.connection import colour, terminal_width


def complete_ids(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from gpuready.engine.catalog import all_rules

    return [CompletionItem(rule.id, help=rule.title) for rule in all_rules() if rule.id.startswith(incomplete)]


@click.command("explain")
@click.argument("id_", metavar="[ID]", required=False, shell_complete=complete_ids)
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
@click.option("--no-color", is_flag=True, help="Plain text; also with NO_COLOR set or when piped.")
def command(id_: str | None, output: str, no_color: bool) -> int:
    """Say what rule ID looks at, what it means, what it follows from and what to do. Without ID: all rules."""
    from gpuready.engine.explaining import explain, listed
    from gpuready.report.explain_text import explain_text, list_text
    from gpuready.report.json_out import to_json, to_yaml

    render = to_json if output == "json" else to_yaml
    width, painted = terminal_width(), colour(no_color)
    if id_:
        one = explain(id_)
        click.echo(explain_text(one, width=width, colour=painted) if output == "text" else render(one).rstrip("\n"))
        return 0
    rules = listed()
    if output == "text":
        click.echo(list_text(rules, width=width, colour=painted))
    else:
        click.echo(render([explain(rule.id) for of in rules.values() for rule in of]), nl=False)
    return 0
