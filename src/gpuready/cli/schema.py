"""`gpuready schema`: the format of gpuready.yaml."""

from __future__ import annotations

import click


@click.command("schema")
@click.option(
    "-o", "--output", type=click.Choice(["json", "yaml"]), default="json", show_default=True, help="Output format."
)
def command(output: str) -> None:
    """Print the JSON Schema of gpuready.yaml.

    Editors that speak to yaml-language-server complete and check the file when its first line is
    `# yaml-language-server: $schema=FILE`, where FILE holds what this prints.
    """
    from gpuready.adapters.specfile_schema import schema

    if output == "json":
        import json

        click.echo(json.dumps(schema(), indent=2))
        return
    import yaml

    click.echo(yaml.safe_dump(schema(), sort_keys=False, width=100), nl=False)
