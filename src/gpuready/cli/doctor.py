"""gpuready doctor: why a GPU cannot be used, from the evidence."""

from __future__ import annotations

import sys
from typing import Any

import click

from gpuready.cli.connection import cluster_options, colour, open_session, terminal_width

LARGEST = 32 << 20  # bytes of pasted text


@click.command("doctor")
@click.argument("text", type=click.Choice(["-"]), metavar="[-]", required=False)
@click.option("--from", "bundle", metavar="BUNDLE", help="Read what gpuready collect kept, not a cluster.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
@cluster_options
def command(
    text: str | None, bundle: str | None, output: str, kubeconfig: str | None, context: str | None, no_color: bool
) -> int:
    """Judge everything that is known, name the cause and what follows from it. Creates nothing.

    With - it reads pasted text from standard input instead of a cluster: kubectl describe, get -o yaml, events, logs,
    nvidia-smi, dmesg, in any mix.
    """
    from gpuready.engine.diagnose import diagnose
    from gpuready.report.doctor_text import doctor_text
    from gpuready.report.json_out import to_json, to_yaml

    diagnosis = diagnose(_facts(text, bundle, kubeconfig, context))
    if output == "text":
        click.echo(doctor_text(diagnosis, width=terminal_width(), colour=colour(no_color)))
    else:
        click.echo((to_json if output == "json" else to_yaml)(diagnosis), nl=False)
    return diagnosis.exit_code


def _facts(text: str | None, bundle: str | None, kubeconfig: str | None, context: str | None) -> dict[str, Any]:
    if text and bundle:
        raise click.UsageError("- and --from are two sources; give one")
    if bundle:
        return _replayed(bundle)
    return _pasted() if text else _live(kubeconfig, context)


def _replayed(bundle: str) -> dict[str, Any]:
    from pathlib import Path

    from gpuready.adapters.bundle import open_bundle
    from gpuready.engine.evidence import read_evidence

    source = open_bundle(Path(bundle))
    return read_evidence(source, source.index.identity)


def _live(kubeconfig: str | None, context: str | None) -> dict[str, Any]:
    from gpuready.engine.evidence import read_evidence

    opened = open_session(kubeconfig, context, "doctor")
    return read_evidence(opened.client, opened.identity)


def _pasted() -> dict[str, Any]:
    from gpuready.engine.pasted import facts_of
    from gpuready.model.redact import redact

    return facts_of(redact(_stdin()))


def _stdin() -> str:
    """Whatever the encoding: what is no UTF-8 is marked, not refused."""
    from gpuready.model.errors import UserError

    data = sys.stdin.buffer.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise UserError(f"the text is larger than {LARGEST >> 20} MiB", "paste the part around the failure")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "replace")
