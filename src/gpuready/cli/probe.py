"""`gpuready probe`: what runs inside the pods that look, compute or clean. One line of JSON, and nothing else."""

from __future__ import annotations

import os
import re
import sys
import threading
from typing import Any

import click

NODE = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # a Kubernetes object's name
RUNTIME = re.compile(r"[a-z-]{1,20}://[A-Za-z0-9._+~-]{1,80}")
HANDLER = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # a DNS label
NONCE = re.compile(r"[A-Za-z0-9_-]{0,64}")


def _matching(pattern: re.Pattern[str]) -> Any:
    def check(ctx: click.Context, param: click.Parameter, value: str) -> str:
        if not pattern.fullmatch(value):
            raise click.BadParameter(f"{value[:80]!r} has characters that do not belong there", ctx, param)
        return value

    return check


node = click.option("--node", required=True, callback=_matching(NODE), help="Name of the node, as the API knows it.")
nonce = click.option(
    "--nonce", default="", callback=_matching(NONCE), help="Marks the run; it comes back in the answer."
)
host_prefix = click.option(
    "--host-prefix", default="/", show_default=True, help="Where the node's paths are mounted in this container."
)


@click.group("probe", hidden=True)
def command() -> None:
    """Run inside a pod on a node; print one line of JSON."""


@command.command()
@host_prefix
@node
@nonce
def look(host_prefix: str, node: str, nonce: str) -> None:
    """Read what GPUs, driver and device nodes the node has."""
    from gpuready.node.look import look

    _print(look(host_prefix, node, nonce, os.uname().release))


@command.command()
@host_prefix
@node
@click.option("--seen", multiple=True, metavar="PATH", help="Host path that is mounted whole; several times.")
def host(host_prefix: str, node: str, seen: tuple[str, ...]) -> None:
    """Read the state of the node for the doctor."""
    import msgspec

    from gpuready.model.scrub import scrub
    from gpuready.node.host import host_facts
    from gpuready.node.log import timestamp
    from gpuready.node.sight import Sight

    facts = host_facts(Sight.below(host_prefix, seen or ("/",)), node, os.uname().release, timestamp())
    _print(scrub(msgspec.to_builtins(facts)))


@command.command()
@node
@nonce
@click.option("--expect", type=click.IntRange(0, 1024), help="How many GPUs this container asked for.")
def cuda(node: str, nonce: str, expect: int | None) -> None:
    """Compute on every GPU of this container."""
    from gpuready.node.probe_cuda import compute

    _print(compute(nonce, node, expect))
    if threading.active_count() > 1:  # a call of the driver never returned, and would keep this process too
        os._exit(0)


@command.command()
@host_prefix
@click.option("--kubelet-dir", default="/var/lib/kubelet", show_default=True, help="On the node.")
@click.option("--cdi-dir", default="/var/run/cdi", show_default=True, help="On the node.")
def clean(host_prefix: str, kubelet_dir: str, cdi_dir: str) -> None:
    """Remove our files from the node."""
    from gpuready.node.clean import clean
    from gpuready.node.driver_files import visible

    above = host_prefix.rstrip("/")
    done = clean(visible(above, kubelet_dir), visible(above, cdi_dir))
    removed = [str(path).removeprefix(above) for path in done.removed]
    left = [f"{str(path).removeprefix(above)}: {why}" for path, why in done.left]
    _print({"removed": removed, "left": left})


@command.command()
@host_prefix
@node
@click.option("--runtime", "version", required=True, callback=_matching(RUNTIME), help="As the Node tells it.")
@click.option("--handler", required=True, callback=_matching(HANDLER), help="Its name, as a RuntimeClass gives it.")
@click.option("--binary", "binaries", multiple=True, help="The first that is there is taken; none: take the entry out.")
def runtime(host_prefix: str, node: str, version: str, handler: str, binaries: tuple[str, ...]) -> None:
    """Put a handler into the node's container runtime, or take it out, and have the runtime read it."""
    from gpuready.node.runtime_entry import enter

    _print(enter(host_prefix, version, handler, binaries, node))


def _print(report: Any) -> None:
    import msgspec

    sys.stdout.write(msgspec.json.encode(report).decode() + "\n")
    sys.stdout.flush()
