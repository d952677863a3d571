"""gpuready rbac VERB"""

from __future__ import annotations

import click

from gpuready.engine.rights import RIGHTS, manifests
from gpuready.model.spec import NATIVE, STACKS


@click.command("rbac")
@click.argument("verb", type=click.Choice(tuple(RIGHTS)))
@click.option("--user", help="Grant to this user.")
@click.option("--group", help="Grant to this group.")
@click.option("--serviceaccount", metavar="NAMESPACE:NAME", help="Grant to this service account.")
@click.option("--stack", type=click.Choice(STACKS), default=NATIVE, show_default=True, help="What serves the GPUs.")
@click.option("-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True)
def command(
    verb: str, user: str | None, group: str | None, serviceaccount: str | None, stack: str, output: str
) -> None:
    """Print the rights that VERB needs, for `kubectl apply -f -`: nothing less, nothing more."""
    from gpuready.cli.printing import documents

    click.echo(documents(manifests(verb, _subject(user, group, serviceaccount), stack), output), nl=False)


def _subject(user: str | None, group: str | None, account: str | None) -> dict[str, str]:
    given = [g for g in (user, group, account) if g]
    if len(given) > 1:
        raise click.UsageError("one of --user, --group and --serviceaccount")
    if account:
        namespace, _, name = account.partition(":")
        if not name:
            raise click.UsageError(f"--serviceaccount takes NAMESPACE:NAME, not {account!r}")
        return {"kind": "ServiceAccount", "namespace": namespace, "name": name}
    kind = "Group" if group else "User"
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": given[0] if given else "REPLACE-ME"}
