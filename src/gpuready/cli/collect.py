"""gpuready collect: everything that doctor reads, redacted, in one archive."""

from __future__ import annotations

from pathlib import Path

import click

from gpuready.cli.connection import Duration, connect_options, open_session
from gpuready.cli.host_facts import HostFactsOptions, host_facts_options, look_at_hosts


@click.command("collect")
@click.option("-f", "--file", metavar="FILE", help="Archive to write; default gpuready-CLUSTER-TIME.tar.gz here.")
@click.option("--provoked", metavar="HOW", default="", help="Note in it that the failure was brought about, and how.")
@click.option(
    "--budget",
    type=Duration(),
    metavar="TIME",
    default="60s",
    show_default=True,
    help="For each list, and for each pod that is asked: what is late counts as not read.",
)
@host_facts_options
@click.option("-y", "--yes", is_flag=True, help="Do not ask before --host-facts creates its pods.")
@connect_options
def command(
    file: str | None,
    provoked: str,
    budget: float,
    host_facts: bool,
    nodes: tuple[str, ...],
    image: str | None,
    yes: bool,
    kubeconfig: str | None,
    context: str | None,
) -> int:
    """Keep what doctor reads, without secrets, so that doctor --from reads it again without the cluster."""
    from gpuready import __version__
    from gpuready.adapters.budget import Budgeted
    from gpuready.adapters.bundle import Recorder
    from gpuready.adapters.clock import SystemClock
    from gpuready.engine.evidence import read_evidence
    from gpuready.model.errors import UserError

    options = HostFactsOptions(host_facts, nodes, image)
    opened = open_session(kubeconfig, context, "doctor --host-facts" if host_facts else "collect")
    probed = look_at_hosts(opened, options, yes)
    at = SystemClock().now()
    path = Path(file or f"gpuready-{opened.identity.uid[:8]}-{at[:19].replace(':', '')}.tar.gz")
    recorder = None
    try:
        recorder = Recorder(Budgeted(opened.client, budget, _tell), path)
        for node, answer in probed.items():
            recorder.keep_probe(node, answer)
        read_evidence(recorder, opened.identity, probed=probed)
        recorder.close(opened.identity, __version__, at, provoked)
    except FileExistsError:
        raise UserError(f"{path} is there already", "give another --file") from None
    finally:
        _tell("")
        if recorder:
            recorder.abandon()
    unread = sum(1 for entry in recorder.entries if entry.error and not entry.absent)
    click.echo(f"{path}: {len(recorder.entries)} answers, {unread} of them refusals; secrets are replaced by [hidden]")
    click.echo(f"next: gpuready doctor --from {path}")
    return 0


def _tell(what: str) -> None:
    """What is being read, on a terminal; each line takes the place of the one before."""
    import sys

    from gpuready.cli.connection import terminal_width
    from gpuready.report.escape import cut, one_line

    if sys.stderr.isatty():
        text = cut(one_line(f"collect: {what} ..."), terminal_width() - 1) if what else ""
        click.echo(f"\r\x1b[K{text}", nl=False, err=True)
