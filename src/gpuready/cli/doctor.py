"""gpuready doctor: why a GPU cannot be used, from the evidence."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from gpuready.cli.connection import Opened, change_options, cluster_options, colour, open_session, terminal_width
from gpuready.cli.host_facts import HostFactsOptions, host_facts_options, look_at_hosts

if TYPE_CHECKING:
    from gpuready.cli.showing import Show
    from gpuready.model.chart import ChartFiles
    from gpuready.model.diagnosis import Diagnosis

LARGEST = 32 << 20  # bytes of pasted text


@click.command("doctor")
@click.argument("text", type=click.Choice(["-"]), metavar="[-]", required=False)
@click.option("--from", "bundle", metavar="BUNDLE", help="Read what gpuready collect kept, not a cluster.")
@click.option("-o", "--output", type=click.Choice(["text", "json", "yaml", "junit"]), default="text", show_default=True)
@click.option(
    "--fix",
    metavar="[RULE]",
    is_flag=False,
    flag_value="",
    help="Mend what was found, or only what RULE found: show the plan, ask, carry it out, look again.",
)
@click.option("--chart", metavar="PATH", help="With --fix: the GPU Operator's chart, for its CRDs; archive or folder.")
@host_facts_options
@cluster_options
@change_options
def command(
    text: str | None,
    bundle: str | None,
    output: str,
    fix: str | None,
    chart: str | None,
    host_facts: bool,
    nodes: tuple[str, ...],
    image: str | None,
    kubeconfig: str | None,
    context: str | None,
    no_color: bool,
    yes: bool,
    allow: tuple[str, ...],
    timeout: float | None,
    take_over: bool,
) -> int:
    """Judge everything that is known, name the cause and what follows from it.

    Creates nothing without --fix or --host-facts.

    With - it reads pasted text from standard input instead of a cluster: kubectl describe, get -o yaml, events, logs,
    nvidia-smi, dmesg, in any mix.
    """
    from gpuready.engine.diagnose import diagnose
    from gpuready.report.doctor_text import doctor_text
    from gpuready.report.json_out import to_json, to_yaml

    options = HostFactsOptions(host_facts, nodes, image)
    if host_facts and (text or bundle):
        raise click.UsageError("--host-facts looks at the nodes of a cluster, and none is read")
    if fix is not None:
        _require_live(text, bundle, fix, output)
        from gpuready.cli.showing import Show

        files = _chart(chart) if chart else None
        opened = open_session(kubeconfig, context, "doctor --fix", timeout)
        show = Show(opened.identity, no_color=no_color, yes=yes, allow=allow)
        return _mend(opened, options, fix, show, files, take_over)
    if (yes and not host_facts) or allow or timeout or take_over or chart:
        raise click.UsageError("--yes, --allow, --chart, --timeout and --take-over are for --fix: nothing is changed")
    diagnosis = diagnose(_facts(text, bundle, kubeconfig, context, options, yes))
    if output == "text":
        click.echo(doctor_text(diagnosis, width=terminal_width(), colour=colour(no_color)))
        if not (text or bundle) and _mendable(diagnosis):
            click.echo("next:  gpuready doctor --fix  shows what it would do, and asks")
    elif output == "junit":
        from gpuready.report.junit import doctor_junit

        click.echo(doctor_junit(diagnosis), nl=False)
    else:
        click.echo((to_json if output == "json" else to_yaml)(diagnosis), nl=False)
    return diagnosis.exit_code


def _mendable(diagnosis: Diagnosis) -> bool:
    from gpuready.engine.catalog import remedies

    return any(cause.found.rule in remedies() for cause in diagnosis.causes)


def _mend(
    opened: Opened, options: HostFactsOptions, only: str, show: Show, chart: ChartFiles | None, take_over: bool
) -> int:
    from gpuready.cli.fixing import fix

    agreed = [show.yes]  # to looks at the nodes: once is enough

    def read() -> dict[str, Any]:
        facts = _read(opened, options, agreed[-1])
        agreed.append(True)
        return facts

    return fix(opened, read, only, show, chart=chart, take_over=take_over)


def _require_live(text: str | None, bundle: str | None, fix: str, output: str) -> None:
    if text or bundle or fix == "-":
        what = "a bundle" if bundle else "pasted text"
        raise click.UsageError(f"--fix changes a cluster and looks at it again; {what} cannot be changed")
    if output != "text":
        raise click.UsageError(f"--fix shows a plan and asks; `gpuready doctor -o {output}` tells what it left")


def _chart(path: str) -> ChartFiles:
    from pathlib import Path

    from gpuready.adapters.chart import read_chart

    return read_chart(Path(path), path, "gpu-operator")


def _facts(
    text: str | None,
    bundle: str | None,
    kubeconfig: str | None,
    context: str | None,
    options: HostFactsOptions,
    yes: bool,
) -> dict[str, Any]:
    if text and bundle:
        raise click.UsageError("- and --from are two sources; give one")
    if bundle:
        return replayed(bundle)
    if text:
        return facts_pasted()
    verb = "doctor --host-facts" if options.wanted else "doctor"
    return _read(open_session(kubeconfig, context, verb), options, yes)


def replayed(bundle: str) -> dict[str, Any]:
    from pathlib import Path

    from gpuready.adapters.bundle import open_bundle
    from gpuready.engine.evidence import read_evidence

    source = open_bundle(Path(bundle))
    return read_evidence(source, source.index.identity, probed=source.probed(), now=lambda: source.index.at)


def _read(opened: Opened, options: HostFactsOptions, yes: bool) -> dict[str, Any]:
    from gpuready.adapters.clock import SystemClock
    from gpuready.engine.evidence import read_evidence

    probed = look_at_hosts(opened, options, yes)
    return read_evidence(opened.client, opened.identity, probed=probed, now=SystemClock().now)


def facts_pasted() -> dict[str, Any]:
    from gpuready.engine.pasted import facts_of

    return facts_of(_stdin())


def _stdin() -> str:
    """Whatever the encoding: what is no UTF-8 is marked, not refused."""
    from gpuready.model.errors import UserError

    data = sys.stdin.buffer.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise UserError(f"the text is larger than {LARGEST >> 20} MiB", "paste the part around the failure")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", "replace")
    return data.decode("utf-8", "replace")
