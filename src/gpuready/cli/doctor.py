"""gpuready doctor: why a GPU cannot be used, from the evidence."""

from __future__ import annotations

import sys

import click

LARGEST = 32 << 20  # bytes of pasted text


@click.command("doctor")
@click.argument("text", type=click.Choice(["-"]), metavar="-", expose_value=False)
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
@click.option("--no-color", is_flag=True, help="Plain text; also with NO_COLOR set or when piped.")
def command(output: str, no_color: bool) -> int:
    """Judge everything that is known, name the cause and what follows from it. `-` reads pasted text from stdin."""
    from gpuready.cli.connection import colour, terminal_width
    from gpuready.engine.diagnose import diagnose
    from gpuready.engine.pasted import facts_of
    from gpuready.report.doctor_text import doctor_text
    from gpuready.report.json_out import to_json, to_yaml
    from gpuready.report.redact import redact

    diagnosis = diagnose(facts_of(redact(_stdin())))
    if output == "text":
        click.echo(doctor_text(diagnosis, width=terminal_width(), colour=colour(no_color)))
    else:
        click.echo((to_json if output == "json" else to_yaml)(diagnosis), nl=False)
    return diagnosis.exit_code


def _stdin() -> str:
    """Whatever the encoding: what is no UTF-8 is marked, not refused."""
    from gpuready.model.errors import UserError

    data = sys.stdin.buffer.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise UserError(f"the text is larger than {LARGEST >> 20} MiB", "paste the part around the failure")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "replace")
