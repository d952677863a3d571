"""--host-facts: what doctor and collect create in the cluster, and only with it: a pod that looks at each GPU node."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from gpuready.model.errors import UserError

if TYPE_CHECKING:
    from gpuready.cli.connection import Opened
    from gpuready.model.spec import Setup

F = TypeVar("F", bound=Callable[..., Any])


class HostFactsOptions(msgspec.Struct, frozen=True):
    wanted: bool
    nodes: tuple[str, ...] = ()
    image: str | None = None

    def __post_init__(self) -> None:
        if not self.wanted and (self.nodes or self.image):
            raise click.UsageError("--node and --image are for --host-facts: without it no pod is created")


def host_facts_options(function: F) -> F:
    for option in (
        click.option("--image", metavar="REF", help="Image of these pods.  [default: the spec's, $GPUREADY_IMAGE]"),
        click.option("--node", "nodes", multiple=True, metavar="NAME", help="Look at this node only; several times."),
        click.option(
            "--host-facts",
            is_flag=True,
            help="Look at GPU nodes with a short-lived, read-only pod each: shown, asked, removed afterwards.",
        ),
    ):
        function = option(function)
    return function


def look_at_hosts(opened: Opened, options: HostFactsOptions, yes: bool) -> dict[str, str | UserError]:
    """What the pods printed, by node. Shows what it creates and asks; the answer goes to stdout, all this to stderr."""
    from gpuready.cli.asking import ask
    from gpuready.engine.host_probes import RIGHTS_FOR, nodes_to_probe, probe_hosts
    from gpuready.model.errors import Forbidden

    if not options.wanted:
        return {}
    cluster = opened.session.look_around()
    setup = _setup(opened, options.image)
    nodes = nodes_to_probe(cluster, options.nodes)
    click.echo(_shown(setup, nodes), err=True)
    ask("Create these pods, and remove them when they have answered?", yes)
    try:
        return probe_hosts(opened.session.cluster, setup, cluster, nodes, lambda: None)
    except Forbidden as refused:
        raise UserError(refused.what, RIGHTS_FOR) from refused


def _setup(opened: Opened, image: str | None) -> Setup:
    """The image that is named, else that of what is installed, of the spec here, or of the environment."""
    from gpuready.cli.specs import bare_setup
    from gpuready.model.spec import Image, Setup

    if image:
        return Setup(image=msgspec.convert({"reference": image}, Image))
    installed = opened.session.inventory().setup
    setup = installed if installed and installed.image else bare_setup(opened.identity)
    if setup.image is None:
        raise UserError(
            "no image is known from which the pods of --host-facts could be made",
            "gpuready image push REGISTRY/gpuready makes it and prints its name; then --image NAME",
        )
    return setup


def _shown(setup: Setup, nodes: Collection[str]) -> str:
    from gpuready.components.native_agent.component import CDI_DIR
    from gpuready.components.native_agent.probes import HOST_PATHS
    from gpuready.model.names import NAMESPACE

    few = ", ".join(list(nodes)[:5]) + (f" and {len(nodes) - 5} more" if len(nodes) > 5 else "")
    image = setup.image.reference if setup.image else ""
    return (
        f"host facts: a pod in namespace {NAMESPACE} on each of {len(nodes)} nodes: {few}\n"
        f"  image {image}\n"
        f"  it reads {', '.join((*HOST_PATHS, CDI_DIR))}\n"
        "  as nobody of group root, without a token or a capability, for 120 s at most"
    )
