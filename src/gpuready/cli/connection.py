"""The options that every verb with a cluster shares, and the session they open."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from gpuready.model.errors import UserError

if TYPE_CHECKING:
    from gpuready.adapters.kube import Client
    from gpuready.engine.session import Session
    from gpuready.model.facts.cluster import Identity, Permission

F = TypeVar("F", bound=Callable[..., Any])


class Duration(click.ParamType[float]):
    """30s, 5m, 1h30m or seconds, as kubectl takes it."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s?)?", value)
        if not found or not value:
            self.fail(f"{value!r} is not a duration such as 30s, 5m or 1h30m", param, ctx)
        hours, minutes, seconds = (int(g or 0) for g in found.groups())
        return float(hours * 3600 + minutes * 60 + seconds)


def connect_options(function: F) -> F:
    """--kubeconfig, --context: as kubectl users expect them."""
    for option in (
        click.option("--kubeconfig", metavar="FILE", help="Kubeconfig instead of $KUBECONFIG or ~/.kube/config."),
        click.option("--context", metavar="NAME", help="Context of the kubeconfig instead of its current one."),
    ):
        function = option(function)
    return function


def cluster_options(function: F) -> F:
    """Those, and --no-color, for the verbs that print more than a line."""
    no_color = click.option("--no-color", is_flag=True, help="Plain text; also with NO_COLOR set or when piped.")
    return no_color(connect_options(function))


def change_options(function: F) -> F:
    """--yes, --allow, --timeout, --take-over: for the verbs that change a cluster."""
    for option in (
        click.option("-y", "--yes", is_flag=True, help="Do not ask. Does not cover what cannot be undone."),
        click.option(
            "--allow",
            multiple=True,
            type=click.Choice(["delete-pod", "restart-runtime", "reboot"]),
            help="Consent to this kind of irreversible step.",
        ),
        click.option("--timeout", type=Duration(), metavar="TIME", help="How long to wait for each step, e.g. 5m."),
        click.option("--take-over", is_flag=True, help="Take the lock from a run that is certainly dead."),
    ):
        function = option(function)
    return function


def stack_option(function: F) -> F:
    from gpuready.model.spec import STACKS

    return click.option(
        "--stack", type=click.Choice(STACKS), help="What is to serve the GPUs, where there is no spec yet."
    )(function)


UNASKED = ("status", "doctor", "why", "collect")  # they read what they may, and say what they may not


class Opened(NamedTuple):
    session: Session
    client: Client
    identity: Identity


def open_session(
    kubeconfig: str | None, context: str | None, verb: str, limit: float | None = None, stack: str | None = None
) -> Opened:
    """Connect, learn which cluster it is and, for a verb that changes it, which of its rights are there."""
    from gpuready.adapters.clock import SystemClock
    from gpuready.adapters.helm import HelmCharts
    from gpuready.adapters.journal import ClusterJournals
    from gpuready.adapters.kube import connect
    from gpuready.adapters.lock import holder_identity
    from gpuready.engine.session import Session
    from gpuready.model.facts.cluster import Identity

    client = connect(kubeconfig, context)
    identity = Identity(
        uid=client.uid(),
        server=client.server,
        context=client.context_name,
        name=client.cluster_name,
        version=client.version().git_version,
        insecure=client.insecure,
    )
    clock = SystemClock()
    journals = ClusterJournals(client, clock, identity.uid, holder_identity())
    charts = HelmCharts(kubeconfig, client.context_name)
    session = Session(client, client, journals, clock, identity, _permissions(client, verb, stack), limit, charts)
    return Opened(session, client, identity)


def _permissions(client: Client, verb: str, stack: str | None) -> tuple[Permission, ...]:
    import msgspec

    from gpuready.engine.rights import permissions
    from gpuready.model.unknown import Unknown

    if verb in UNASKED:
        return ()
    wanted = permissions(verb, stack)
    if client.can_i("*", "*", group="*").allowed:
        return tuple(msgspec.structs.replace(p, allowed=True) for p in wanted)
    out = []
    for p in wanted:
        resource, _, sub = p.resource.partition("/")
        try:
            answer: bool | Unknown = client.can_i(
                p.verb, resource, group=p.group, namespace=p.namespace, name=p.name, subresource=sub
            ).allowed
        except UserError as error:
            answer = Unknown(error.what, error.next)
        out.append(msgspec.structs.replace(p, allowed=answer))
    return tuple(out)


def require_rights(session: Session, verb: str) -> None:
    """Stop before anything is touched when a right is missing."""
    missing = [str(p) for p in session.permissions if p.allowed is False]
    if missing:
        shown = ", ".join(missing[:6]) + (f" and {len(missing) - 6} more" if len(missing) > 6 else "")
        raise UserError(f"rights are missing for `{verb}`: {shown}", f"gpuready rbac {verb} prints all that it needs")


@functools.cache
def terminal_width() -> int:
    """Columns of the terminal, 80 when there is none."""
    import shutil

    return min(shutil.get_terminal_size((80, 24)).columns, 120)


def colour(no_color: bool) -> bool:
    import os
    import sys

    from gpuready.report.colour import colour_wanted

    return colour_wanted(tty=sys.stdout.isatty(), env=os.environ, no_color=no_color)
