"""gpuready collect: everything that doctor reads, redacted, in one archive."""

from __future__ import annotations

from pathlib import Path

import click

from gpuready.cli.connection import connect_options, open_session


@click.command("collect")
@click.option("-f", "--file", metavar="FILE", help="Archive to write; default gpuready-CLUSTER-TIME.tar.gz here.")
@connect_options
def command(file: str | None, kubeconfig: str | None, context: str | None) -> int:
    """Keep what doctor reads, without secrets, so that doctor --from reads it again without the cluster."""
    from gpuready import __version__
    from gpuready.adapters.bundle import Recorder
    from gpuready.adapters.clock import SystemClock
    from gpuready.engine.evidence import read_evidence
    from gpuready.model.errors import UserError

    opened = open_session(kubeconfig, context, "collect")
    at = SystemClock().now()
    path = Path(file or f"gpuready-{opened.identity.uid[:8]}-{at[:19].replace(':', '')}.tar.gz")
    try:
        recorder = Recorder(opened.client, path)
    except FileExistsError:
        raise UserError(f"{path} is there already", "give another --file") from None
    try:
        read_evidence(recorder, opened.identity)
        recorder.close(opened.identity, __version__, at)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    unread = sum(1 for entry in recorder.entries if entry.error and not entry.absent)
    click.echo(f"{path}: {len(recorder.entries)} answers, {unread} of them refusals; secrets are replaced by [hidden]")
    click.echo(f"next: gpuready doctor --from {path}")
    return 0
